package main

// The issuer's public keys (RFC 7517), kept and renewed.

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"sync"
	"time"
)

const (
	fresh    = 30 * time.Second // then keys are renewed, while the known ones serve on
	maxStale = time.Hour        // so long they serve while the issuer is away
	pause    = 10 * time.Second // between two fetches: whoever invents key ids gets no more out of us
	retry    = time.Second      // instead, while there are no keys at all
	maxKeys  = 50
	maxBytes = 256 * 1024
)

// key is one algorithm, and how to verify with it.
type key struct {
	algorithm string
	verify    func(signed, signature []byte) bool
}

type keySet struct {
	url    string
	client http.Client

	fetching sync.Mutex // held by the one who fetches; whoever needs the outcome waits for it

	mu      sync.Mutex // guards what follows
	keys    map[string]key
	fetched time.Time
	tried   time.Time
}

func newKeySet(url string) *keySet {
	return &keySet{url: url, client: http.Client{
		Timeout: 2 * time.Second,
		// Keys come from the address that was configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// find is the key of that id, which may mean to ask the issuer: for as long as its client waits, and no longer.
func (s *keySet) find(id string) (key, error) {
	found, known, age := s.look(id)
	if known && age < maxStale {
		if age >= fresh && s.takeTurn() {
			go s.fetch()
		}
		return found, nil
	}
	s.fetchFor(id)
	found, known, age = s.look(id)
	switch {
	case age >= maxStale:
		return key{}, ErrUnavailable
	case !known:
		return key{}, ErrInvalid
	}
	return found, nil
}

// fetchFor waits for a fetch that is under way, and makes one if that did not help.
func (s *keySet) fetchFor(id string) {
	s.fetching.Lock()
	defer s.fetching.Unlock()
	if _, known, age := s.look(id); (!known || age >= maxStale) && s.takeTurn() {
		s.load()
	}
}

// look says what is known, and how old that is.
func (s *keySet) look(id string) (key, bool, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, known := s.keys[id]
	if s.keys == nil {
		return found, false, maxStale
	}
	return found, known, time.Since(s.fetched)
}

// takeTurn is true for one caller, and for nobody else until the pause is over.
func (s *keySet) takeTurn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait := pause
	if s.keys == nil {
		wait = retry
	}
	if time.Since(s.tried) < wait {
		return false
	}
	s.tried = time.Now()
	return true
}

func (s *keySet) fetch() {
	s.fetching.Lock()
	defer s.fetching.Unlock()
	s.load()
}

// load keeps what was good where the answer is not.
func (s *keySet) load() {
	keys, err := s.request()
	if err != nil {
		log.Print("keys were not fetched: ", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys, s.fetched = keys, time.Now()
}

func (s *keySet) request() (map[string]key, error) {
	response, err := s.client.Get(s.url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the issuer answered %s", response.Status)
	}
	document, err := io.ReadAll(io.LimitReader(response.Body, maxBytes))
	if err != nil {
		return nil, err
	}
	return readKeys(document)
}

type jwk struct {
	ID        string `json:"kid"`
	Algorithm string `json:"alg"`
	Type      string `json:"kty"`
	Use       string `json:"use"`
	Curve     string `json:"crv"`
	N         number `json:"n"`
	E         number `json:"e"`
	X         number `json:"x"`
	Y         number `json:"y"`
}

// number is base64url in JSON.
type number []byte

func (n *number) UnmarshalText(text []byte) (err error) {
	*n, err = base64.RawURLEncoding.DecodeString(string(text))
	return err
}

func (n number) int() *big.Int { return new(big.Int).SetBytes(n) }

// readKeys leaves out what is not for us or not sound; a set without anything else is an error.
func readKeys(document []byte) (map[string]key, error) {
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, err
	}
	keys := map[string]key{}
	for _, raw := range set.Keys[:min(len(set.Keys), maxKeys)] {
		var each jwk
		if json.Unmarshal(raw, &each) != nil || each.ID == "" || (each.Use != "" && each.Use != "sig") {
			continue
		}
		if verify := each.verifier(); verify != nil {
			keys[each.ID] = key{each.Algorithm, verify}
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("the answer is no set of keys that could verify anything")
	}
	return keys, nil
}

func (k jwk) verifier() func(signed, signature []byte) bool {
	switch k.Type + " " + k.Algorithm + " " + k.Curve {
	case "RSA RS256 ":
		if public := k.rsa(); public != nil {
			return func(signed, signature []byte) bool {
				digest := sha256.Sum256(signed)
				return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
			}
		}
	case "RSA PS256 ":
		if public := k.rsa(); public != nil {
			return func(signed, signature []byte) bool {
				digest := sha256.Sum256(signed)
				exact := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
				return rsa.VerifyPSS(public, crypto.SHA256, digest[:], signature, exact) == nil
			}
		}
	case "EC ES256 P-256":
		public := &ecdsa.PublicKey{Curve: elliptic.P256(), X: k.X.int(), Y: k.Y.int()}
		if _, err := public.ECDH(); err == nil { // a point of the curve
			return func(signed, signature []byte) bool {
				if len(signature) != 64 { // r and s side by side (RFC 7518 §3.4)
					return false
				}
				digest := sha256.Sum256(signed)
				return ecdsa.Verify(public, digest[:], number(signature[:32]).int(), number(signature[32:]).int())
			}
		}
	case "OKP EdDSA Ed25519":
		if public := ed25519.PublicKey(k.X); len(public) == ed25519.PublicKeySize {
			return func(signed, signature []byte) bool { return ed25519.Verify(public, signed, signature) }
		}
	}
	return nil
}

// rsa is nil for a key that is weak.
func (k jwk) rsa() *rsa.PublicKey {
	n, e := k.N.int(), k.E.int()
	if n.BitLen() < 2048 || n.BitLen() > 8192 || !e.IsInt64() || e.Int64() != 65537 {
		return nil
	}
	return &rsa.PublicKey{N: n, E: 65537}
}
