// Command lighterage carries container images from a harbor to the clusters
// that run them. See package cli for its commands.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/lighterage/lighterage/internal/cli"
	"github.com/lighterage/lighterage/internal/server"
	"github.com/lighterage/lighterage/internal/trace"
)

// version is set by the build: -ldflags "-X main.version=v1.2.3".
var version string

func main() {
	ctx, stop := cli.Interruptible(context.Background())
	code := cli.Main(ctx, options())
	stop()
	os.Exit(code)
}

func options() cli.Options {
	return cli.Options{
		Args: os.Args[1:], Program: os.Args[0],
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		Version: cli.BuildVersion(version),
		Serve:   serve,
	}
}

// serve joins the command line and the server, which do not know each other. The
// registry library below the server logs to the process's default logger.
func serve(ctx context.Context, c cli.ServeConfig) error {
	slog.SetDefault(c.Log)
	tracer, err := trace.FromEnvironment(ctx, os.Getenv, cli.BuildVersion(version).Version, c.Log)
	if err != nil {
		return err
	}
	return server.Run(ctx, server.Config{
		Tracer:  tracer,
		DataDir: c.DataDir, Listen: c.Listen, ExternalURL: c.ExternalURL, TrustedProxies: c.TrustedProxies,
		TLSCertificate: c.TLSCertificate, TLSKey: c.TLSKey,
		Database: c.Database, Storage: c.Storage, AdminPassword: c.AdminPassword,
		Home: server.HomeConfig{
			URL: c.Home.URL, Username: c.Home.Username, Secret: c.Home.Secret, CACertificate: c.Home.CACertificate,
			Insecure: c.Home.Insecure, WebhookSecret: c.Home.WebhookSecret, Change: c.Home.Change,
		},
		AutoCreateProjects: c.AutoCreateProjects, Reindex: c.Reindex, Reconcile: c.ReconcileInterval, Verify: c.VerifyInterval,
		Deletions:     &server.DeletionCap{Count: c.DeletionCap, Share: c.DeletionCapShare},
		MetricsListen: c.MetricsListen, MetricsToken: c.MetricsToken,
		Version: cli.BuildVersion(version).Version, Log: c.Log,
		Ready: func(info server.Info) { c.Ready(cli.ServeInfo(info)) },
	})
}
