package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/lighterage/lighterage/internal/api/gen"
)

func (a *app) loginCommand() *cobra.Command {
	var user, caFile string
	var fromStdin, insecure bool
	cmd := &cobra.Command{
		Use:   "login SERVER",
		Short: "Log in to a server",
		Long: `Check a user name and password at a server, and remember them for the commands
that speak to it. A server without http:// or https:// is taken for https, or for
http on this machine. The server becomes the current one; --server and
LIGHTERAGE_SERVER choose another.

The password comes from a prompt, from standard input with --password-stdin, or
from LIGHTERAGE_PASSWORD. It is stored in $XDG_CONFIG_HOME/lighterage/config.json,
readable by you alone; a robot account that may do no more than it has to is a
good idea. Harbor servers can be logged in to as well.

` + exitCodes,
		Example: `  lighterage login http://127.0.0.1:8580 -u admin
  cat password.txt | lighterage login registry.example.com -u 'robot$deploy' --password-stdin
  lighterage login https://registry.example.com -u admin --ca ca.crt`,
		Args: takes("SERVER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			server, err := normalizeServer(args[0])
			if err != nil {
				return err
			}
			to := login{Username: user, Insecure: insecure}
			if caFile != "" {
				if to.CACertificate, err = readFile("--ca", caFile); err != nil {
					return err
				}
			}
			if to.Username == "" {
				to.Username = a.Getenv("LIGHTERAGE_USERNAME")
			}
			if to.Username == "" {
				return usage("whose login? say -u USER")
			}
			if to.Password, err = a.password(fromStdin, to.Username, server); err != nil {
				return err
			}
			return a.login(cmd.Context(), server, to)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&user, "username", "u", "", "user or robot account (default $LIGHTERAGE_USERNAME)")
	f.BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	f.StringVar(&caFile, "ca", "", "PEM file of the authority that signed the server's certificate")
	f.BoolVar(&insecure, "insecure", false, "do not verify the server's certificate")
	return cmd
}

func (a *app) login(ctx context.Context, server string, to login) error {
	c, err := newAPI(server, to)
	if err != nil {
		return err
	}
	if err := c.verify(ctx); err != nil {
		if f, ok := errors.AsType[*failure](err); ok {
			// Here these flags are the command's own.
			f.advice = strings.NewReplacer("--server-ca", "--ca", "--server-insecure", "--insecure", "; --server names another", "").Replace(f.advice)
		}
		return err
	}
	path, err := a.changeLogins(func(all *logins) {
		all.Servers[server] = to
		all.Current = server
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.Stdout, "Logged in to %s as %s. The login is stored in %s\n", server, to.Username, path)
	return err
}

// verify asks the server whether it takes the credential.
func (c *api) verify(ctx context.Context) error {
	r, err := c.GetCurrentUserInfoWithResponse(ctx)
	if err == nil && r.JSON200 != nil && r.JSON200.Username != "" {
		return nil
	}
	if err == nil && r.HTTPResponse.StatusCode != http.StatusUnauthorized && strings.Contains(c.user, "$") {
		// A robot is no user, but a wrong secret is refused everywhere.
		one := int64(1)
		projects, err := c.ListProjectsWithResponse(ctx, &gen.ListProjectsParams{Page: &one, PageSize: &one})
		if err != nil {
			return c.check(err, nil, nil, "log in")
		}
		return c.check(nil, projects.HTTPResponse, projects.Body, "log in")
	}
	if err != nil {
		return c.check(err, nil, nil, "log in")
	}
	if r.HTTPResponse.StatusCode == http.StatusUnauthorized {
		return &failure{exitUnreachable, fmt.Errorf("log in to %s as %s: the user name or password is wrong", c.url, c.user),
			"After several wrong passwords the server makes you wait a little."}
	}
	if r.HTTPResponse.StatusCode != http.StatusNotFound {
		if err := c.check(nil, r.HTTPResponse, r.Body, "log in"); err != nil {
			return err
		}
	}
	return &failure{exitUnreachable, fmt.Errorf("log in: %s does not answer like a Lighterage or Harbor server", c.url), "Check the URL."}
}

// password gets a password without showing it.
func (a *app) password(fromStdin bool, user, server string) (string, error) {
	if fromStdin {
		return a.secretFromStdin("--password-stdin")
	}
	if password := a.Getenv("LIGHTERAGE_PASSWORD"); password != "" {
		return password, nil
	}
	input, ok := a.Stdin.(*os.File)
	if !ok || !term.IsTerminal(int(input.Fd())) {
		return "", advise(usage("no password: standard input is not a terminal"),
			"Pipe the password in with --password-stdin, or set LIGHTERAGE_PASSWORD.")
	}
	fmt.Fprintf(a.Stderr, "Password of %s at %s: ", user, server)
	password, err := term.ReadPassword(int(input.Fd()))
	fmt.Fprintln(a.Stderr)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	if len(password) == 0 {
		return "", usage("the password is empty")
	}
	return string(password), nil
}

func (a *app) logoutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logout [SERVER]",
		Short: "Forget a login",
		Long:  "Forget the login at a server; without one, at the server where you logged in last.",
		Example: `  lighterage logout
  lighterage logout registry.example.com`,
		Args: takes("[SERVER]"),
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := a.readLogins()
			if err != nil {
				return err
			}
			server := all.Current
			if len(args) == 1 {
				if server, err = normalizeServer(args[0]); err != nil {
					return err
				}
			}
			if _, known := all.Servers[server]; !known {
				known := "You are logged in nowhere."
				if list := all.known(); len(list) > 0 {
					known = "You are logged in to: " + strings.Join(list, ", ")
				}
				if server == "" {
					return advise(usage("which server?"), "%s", known)
				}
				return advise(usage("you are not logged in to %s", server), "%s", known)
			}
			_, err = a.changeLogins(func(all *logins) {
				delete(all.Servers, server)
				if all.Current == server {
					all.Current = ""
				}
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "Logged out of %s\n", server)
			return err
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			all, _ := a.readLogins() // no login, no proposals
			return all.known(), cobra.ShellCompDirectiveNoFileComp
		},
	}
}
