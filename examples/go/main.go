// An API whose callers show an access token of Keystead: net/http and the standard library alone.
package main

import (
	"cmp"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	issuer := cmp.Or(os.Getenv("KEYSTEAD_URL"), "http://127.0.0.1:3000")
	verifier := NewVerifier(issuer, cmp.Or(os.Getenv("API_AUDIENCE"), issuer))

	routes := http.NewServeMux()
	routes.Handle("GET /me", verifier.Require(Needs{}, me))
	routes.Handle("GET /reports", verifier.Require(Needs{Roles: []string{"admin"}}, reports))
	// What costs money asks for a sign-in within the last five minutes.
	routes.Handle("POST /payments", verifier.Require(Needs{MaxAge: 5 * time.Minute}, pay))

	server := http.Server{
		Addr:              "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "4000"),
		Handler:           routes,
		ReadHeaderTimeout: 5 * time.Second,
	}
	log.Fatal(server.ListenAndServe())
}

func me(w http.ResponseWriter, r *http.Request) {
	caller := CallerOf(r.Context())
	answer(w, http.StatusOK, map[string]any{"subject": caller.Subject, "roles": caller.Roles})
}

func reports(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"reports": []string{"Greenhouse, week 12"}})
}

func pay(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, map[string]any{"paid_by": CallerOf(r.Context()).Subject})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Print("the caller has gone: ", err)
	}
}
