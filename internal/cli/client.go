package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/term"
)

// serverFlags say which server a command speaks to.
type serverFlags struct {
	server   string
	caFile   string
	insecure bool
}

func (s *serverFlags) add(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVarP(&s.server, "server", "s", "", "URL of the server (default $LIGHTERAGE_SERVER, or where you logged in last)")
	f.StringVar(&s.caFile, "server-ca", "", "PEM file of the authority that signed the server's certificate")
	f.BoolVar(&s.insecure, "server-insecure", false, "do not verify the server's certificate")
}

// api is a server that commands speak to.
type api struct {
	*gen.ClientWithResponses
	url  string
	user string
}

// connect finds the server and the credential: flags, then the environment, then
// what login stored. It makes no request.
func (a *app) connect(s *serverFlags) (*api, error) {
	all, err := a.readLogins()
	if err != nil {
		return nil, err
	}
	address := s.server
	if address == "" {
		address = a.Getenv("LIGHTERAGE_SERVER")
	}
	if address == "" {
		address = all.Current
	}
	if address == "" {
		return nil, advise(usage("no server: you are not logged in"),
			"Log in with \"lighterage login URL\", or name the server with --server or LIGHTERAGE_SERVER.")
	}
	server, err := normalizeServer(address)
	if err != nil {
		return nil, err
	}
	to := all.Servers[server]
	if user := a.Getenv("LIGHTERAGE_USERNAME"); user != "" {
		to.Username, to.Password = user, a.Getenv("LIGHTERAGE_PASSWORD")
	}
	if s.caFile != "" {
		if to.CACertificate, err = readFile("--server-ca", s.caFile); err != nil {
			return nil, err
		}
	}
	to.Insecure = to.Insecure || s.insecure
	return newAPI(server, to)
}

// newAPI makes the client of a server.
func newAPI(server string, to login) (*api, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: to.Insecure}
	if to.CACertificate != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool() // a machine without authorities of its own
		}
		if !pool.AppendCertsFromPEM([]byte(to.CACertificate)) {
			return nil, usage("the CA file for %s holds no PEM certificate", server)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	authorize := func(_ context.Context, r *http.Request) error {
		if to.Username != "" {
			r.SetBasicAuth(to.Username, to.Password)
		}
		r.Header.Set("Accept", "application/json")
		r.Header.Set("User-Agent", "lighterage")
		return nil
	}
	client, err := gen.NewClientWithResponses(server+"/api/v2.0",
		gen.WithHTTPClient(&http.Client{Transport: transport}), gen.WithRequestEditorFn(authorize))
	if err != nil {
		return nil, fmt.Errorf("server %s: %w", server, err)
	}
	return &api{ClientWithResponses: client, url: server, user: to.Username}, nil
}

// normalizeServer gives a server's address the form under which it is stored.
// Without a scheme it is https, or http on this machine.
func normalizeServer(address string) (string, error) {
	text := strings.TrimSpace(address)
	if !strings.Contains(text, "://") {
		host, _, _ := strings.Cut(text, "/")
		scheme := "https"
		if isLoopback(host) {
			scheme = "http"
		}
		text = scheme + "://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", usage("server %q is not a URL", address)
	case u.Scheme != "http" && u.Scheme != "https":
		return "", usage("server %q: want http:// or https://", address)
	case u.Hostname() == "":
		return "", usage("server %q names no host", address)
	case u.User != nil:
		return "", usage("server: a password does not belong into a URL; use --username and --password-stdin")
	}
	path := strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/api/v2.0")
	return u.Scheme + "://" + strings.ToLower(u.Host) + path, nil
}

// isLoopback reports whether host[:port] is this machine.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// apiError is a server's refusal.
type apiError struct {
	op      string
	status  int
	message string
	server  string
	user    string
}

func (e *apiError) Error() string { return e.op + ": " + e.message }

func (e *apiError) exitCode() int {
	switch e.status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return exitUsage
	case http.StatusForbidden:
		if e.readOnly() {
			return exitFailed
		}
		return exitUnreachable
	case http.StatusUnauthorized:
		return exitUnreachable
	}
	return exitFailed
}

// readOnly tells a server that takes no changes now from an account that may make none.
func (e *apiError) readOnly() bool {
	return e.status == http.StatusForbidden && strings.Contains(e.message, "read only mode")
}

// advice says what to do about a refusal, "" if its message is enough.
func (e *apiError) advice() string {
	switch {
	case e.status == http.StatusUnauthorized && e.user == "":
		return "Log in with: lighterage login " + e.server
	case e.status == http.StatusUnauthorized:
		return fmt.Sprintf("%s does not take the password of %s (any more). Log in again with: lighterage login %s", e.server, e.user, e.server)
	case e.readOnly():
		return fmt.Sprintf("Wait until an administrator of %s has ended the read-only mode.", e.server)
	case e.status == http.StatusForbidden:
		return fmt.Sprintf("The account %s may not do this at %s. Log in as an administrator, or as a robot with the permission.", e.user, e.server)
	case e.status >= http.StatusInternalServerError && e.status != http.StatusNotImplemented:
		return "Look into the log of the server at " + e.server + "."
	}
	return ""
}

// check turns the outcome of a request into an error. op is what was being done:
// create registry cluster1.
func (c *api) check(err error, response *http.Response, body []byte, op string, args ...any) error {
	op = fmt.Sprintf(op, args...)
	if err != nil {
		return c.unanswered(err, op)
	}
	if response.StatusCode < 300 {
		if len(body) > 0 && strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") {
			return advise(&failure{exitUnreachable, fmt.Errorf("%s: %s answers with a web page", op, c.url), ""},
				"It is not a Lighterage or Harbor server, or a proxy stands in front of it. Check the URL.")
		}
		return nil
	}
	if response.StatusCode == http.StatusBadRequest && wantsTLS(body) {
		return &failure{exitUnreachable, fmt.Errorf("%s: cannot talk to %s: it speaks https there", op, c.url),
			"Begin the URL with https://."}
	}
	e := &apiError{op: op, status: response.StatusCode, server: c.url, user: c.user}
	var list gen.Errors
	if json.Unmarshal(body, &list) == nil {
		var texts []string
		for _, one := range list.Errors {
			texts = append(texts, one.Message)
		}
		e.message = strings.Join(texts, "; ")
	}
	if e.message == "" || e.status == http.StatusForbidden && e.message == c.user {
		e.message = fmt.Sprintf("%d %s", e.status, http.StatusText(e.status))
	}
	e.message = term.Safe(e.message)
	if advice := e.advice(); advice != "" {
		return advise(e, "%s", advice)
	}
	return e
}

// wantsTLS tells the answer to http at a port for https, which servers made with
// Go, and nginx in front of others, give in clear text.
func wantsTLS(body []byte) bool {
	return bytes.Contains(body, []byte("HTTP request to an HTTPS server")) ||
		bytes.Contains(body, []byte("plain HTTP request was sent to HTTPS port"))
}

// unanswered explains a request that got no answer.
func (c *api) unanswered(err error, op string) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	advice := "Check the address and the network."
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		record   tls.RecordHeaderError
		syntax   *json.SyntaxError
	)
	switch {
	case errors.As(err, &unknown):
		advice = "The server's certificate is signed by an authority that this machine does not know. Name the authority with --server-ca FILE, or use --server-insecure."
	case errors.As(err, &hostname):
		advice = "Use the name that is in the server's certificate, or --server-insecure."
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		advice = "The server does not speak TLS there: begin the URL with http://."
	case errors.As(err, &syntax):
		advice = "What answers there is not a Lighterage or Harbor server. Check the URL."
	case strings.Contains(err.Error(), "connection refused"):
		advice = "Is it running? \"lighterage serve\" starts one; --server names another."
	}
	return &failure{exitUnreachable, fmt.Errorf("%s: cannot talk to %s: %w", op, c.url, err), advice}
}

// created reads the id of something new from the path of its Location header.
func created(response *http.Response) (int64, error) {
	location := response.Header.Get("Location")
	id, err := strconv.ParseInt(location[strings.LastIndexByte(location, '/')+1:], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the server's answer names no id (Location: %q)", location)
	}
	return id, nil
}

// pages fetches lists page by page until limit things are there; 0 is no limit.
// get returns one page.
func pages[T any](limit int, get func(page, size *int64) (*[]T, error)) ([]T, error) {
	const most = 100 // Harbor's greatest page
	size := int64(most)
	if limit > 0 && limit < most {
		size = int64(limit)
	}
	all := []T{}
	for page := int64(1); ; page++ {
		list, err := get(&page, &size)
		if err != nil {
			return nil, err
		}
		if list == nil {
			return all, nil
		}
		all = append(all, *list...)
		if limit > 0 && len(all) >= limit {
			return all[:limit], nil
		}
		if int64(len(*list)) < size {
			return all, nil
		}
	}
}

// clock writes a time of the API for people, in their own time zone.
func clock(t gen.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}

// took is how long something took that began at start; until now if it has no end.
func took(start, end gen.Time) string {
	if start.IsZero() {
		return ""
	}
	until := end.Time
	if end.IsZero() {
		until = time.Now()
	}
	return term.Duration(until.Sub(start.Time))
}

// secretFromStdin reads a password that is piped in: everything up to the first
// line break.
func (a *app) secretFromStdin(flag string) (string, error) {
	content, err := io.ReadAll(io.LimitReader(a.Stdin, 64<<10))
	if err != nil {
		return "", fmt.Errorf("%s: read standard input: %w", flag, err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	if line = strings.TrimRight(line, "\r"); line == "" {
		return "", usage("%s: standard input is empty", flag)
	}
	return line, nil
}
