package main

// What a route asks for, and how a refusal is said (RFC 6750, RFC 9470).

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Needs is what a route asks for beside a token that holds: any of Roles, all of Scope, and a proof of who the person
// is that is no older than MaxAge.
type Needs struct {
	Roles  []string
	Scope  []string
	MaxAge time.Duration
}

type callerKey struct{}

// CallerOf is who calls, inside a handler that Require guards.
func CallerOf(ctx context.Context) *Claims {
	return ctx.Value(callerKey{}).(*Claims)
}

// Require calls the handler for who shows a token that meets the needs.
func (v *Verifier) Require(needs Needs, handler http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := bearerToken(r)
		if token == "" {
			refuse(w, http.StatusUnauthorized, "")
			return
		}
		claims, err := v.Verify(token)
		switch {
		case errors.Is(err, ErrUnavailable):
			w.Header().Set("Retry-After", "2")
			answer(w, http.StatusServiceUnavailable, map[string]string{"code": "unavailable"})
		case err != nil:
			refuse(w, http.StatusUnauthorized, "invalid_token")
		case len(needs.Roles) > 0 && !slices.ContainsFunc(needs.Roles, in(claims.Roles)):
			refuse(w, http.StatusForbidden, "insufficient_scope")
		case slices.ContainsFunc(needs.Scope, not(in(strings.Fields(claims.Scope)))):
			refuse(w, http.StatusForbidden, "insufficient_scope", "scope", strings.Join(needs.Scope, " "))
		case needs.MaxAge > 0 && v.now().Sub(time.Unix(claims.AuthTime, 0)) > needs.MaxAge:
			// The person must prove once more who they are.
			age := fmt.Sprint(int(needs.MaxAge.Seconds()))
			refuse(w, http.StatusUnauthorized, "insufficient_user_authentication", "max_age", age)
		default:
			handler(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, claims)))
		}
	})
}

// bearerToken is empty for two headers, too: whoever stands before us may read another one.
func bearerToken(r *http.Request) string {
	sent := r.Header.Values("Authorization")
	if len(sent) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(sent[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

func refuse(w http.ResponseWriter, status int, code string, more ...string) {
	challenge := `Bearer realm="api"`
	if code != "" {
		challenge += fmt.Sprintf(`, error=%q`, code)
	}
	for pair := range slices.Chunk(more, 2) {
		challenge += fmt.Sprintf(`, %s=%q`, pair[0], pair[1])
	}
	w.Header().Set("WWW-Authenticate", challenge)
	w.Header().Set("Cache-Control", "no-store")
	if code == "" {
		code = "token_missing"
	}
	answer(w, status, map[string]string{"code": code})
}

func in(words []string) func(string) bool {
	return func(word string) bool { return slices.Contains(words, word) }
}

func not(holds func(string) bool) func(string) bool {
	return func(word string) bool { return !holds(word) }
}
