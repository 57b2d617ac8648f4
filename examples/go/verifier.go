package main

// Access tokens of Keystead (RFC 9068), verified with the standard library alone. Copy this file, keys.go and
// middleware.go.

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

const (
	leeway        = 30 * time.Second // for clocks that differ
	maxTokenBytes = 8 * 1024
)

var (
	// ErrInvalid says that a token does not hold; why is nobody's business.
	ErrInvalid = errors.New("the access token is expired, revoked or not valid here")
	// ErrUnavailable says that there is nothing to verify with: the issuer could not be reached.
	ErrUnavailable = errors.New("access tokens cannot be verified at the moment")
)

// Claims are what a verified token says. Times are Unix seconds.
type Claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"` // tokens of Keystead name one
	ClientID string   `json:"client_id"`
	TokenID  string   `json:"jti"`
	Roles    []string `json:"roles"`
	Scope    string   `json:"scope"`
	Expires  int64    `json:"exp"`
	Issued   int64    `json:"iat"`
	// When the person proved who they are; 0 if they did not.
	AuthTime  int64 `json:"auth_time"`
	NotBefore int64 `json:"nbf"`
}

// Verifier verifies the tokens of one issuer for one audience. Make one and share it.
type Verifier struct {
	issuer, audience string
	keys             *keySet
	now              func() time.Time
}

// NewVerifier fetches nothing yet.
func NewVerifier(issuer, audience string) *Verifier {
	return &Verifier{issuer, audience, newKeySet(issuer + "/.well-known/jwks.json"), time.Now}
}

// Verify says what the token says, or ErrInvalid or ErrUnavailable.
func (v *Verifier) Verify(token string) (*Claims, error) {
	parts := strings.Split(token, ".")
	// Go's base64 skips line breaks; a token has none.
	if len(token) > maxTokenBytes || len(parts) != 3 || strings.ContainsAny(token, "\r\n") {
		return nil, ErrInvalid
	}
	// These three and nothing else: what a header says of keys (jwk, jku, x5u) or asks for (crit, b64) is not ours.
	var header map[string]string
	if !decode(parts[0], &header) || len(header) != 3 || header["typ"] != "at+jwt" {
		return nil, ErrInvalid
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil {
		return nil, ErrInvalid
	}
	key, err := v.keys.find(header["kid"])
	if err != nil {
		return nil, err
	}
	// The key dictates the algorithm; the header merely has to agree.
	if header["alg"] != key.algorithm || !key.verify([]byte(parts[0]+"."+parts[1]), signature) {
		return nil, ErrInvalid
	}
	var claims Claims
	if !decode(parts[1], &claims) || !v.accepts(&claims) {
		return nil, ErrInvalid
	}
	return &claims, nil
}

func (v *Verifier) accepts(c *Claims) bool {
	now, slack := v.now().Unix(), int64(leeway/time.Second)
	return c.Issuer == v.issuer && c.Audience == v.audience &&
		c.Subject != "" && c.ClientID != "" && c.TokenID != "" &&
		0 < c.Issued && c.Issued <= now+slack && c.NotBefore <= now+slack && now < c.Expires+slack
}

// decode reads base64url with JSON in it.
func decode(part string, into any) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	return err == nil && json.Unmarshal(raw, into) == nil
}
