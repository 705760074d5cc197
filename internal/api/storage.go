package api

import (
	"context"
	"iter"
	"time"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/migration"
	"github.com/lighterage/lighterage/internal/migration/cutover"
	"github.com/lighterage/lighterage/internal/problem"
)

// Storage is where the home registry's content is, and how it gets elsewhere.
type Storage interface {
	Served(ctx context.Context) (cutover.Served, error)
	Preflight(ctx context.Context, p cutover.Place, s cutover.Secret, rates bool) (cutover.Tried, error)
	LastPreflight(ctx context.Context) (cutover.Tried, error)
	Start(ctx context.Context, operator string, p cutover.Place, s cutover.Secret, o cutover.Options) (int64, error)
	Migration(ctx context.Context) (cutover.State, error)
	Ask(ctx context.Context, operator string, action cutover.Action, credential *cutover.Credential) error
	// Watch yields the migration when it has changed; nil at first if there is none.
	Watch(ctx context.Context) iter.Seq2[*cutover.State, error]
}

// storage returns the storage if the caller may do something with it.
func (a *api) storage(ctx context.Context, action string) (Storage, string, error) {
	p, err := a.require(ctx, "storage", action)
	if err != nil {
		return nil, "", err
	}
	if a.o.Storage == nil {
		return nil, "", problem.New(problem.Precondition, "a Harbor is home, and keeps its images by itself: there is no storage here")
	}
	return a.o.Storage, p.Name, nil
}

func (a *api) GetStorage(ctx context.Context, _ gen.GetStorageRequestObject) (gen.GetStorageResponseObject, error) {
	s, _, err := a.storage(ctx, "read")
	if err != nil {
		return nil, err
	}
	served, err := s.Served(ctx)
	if err != nil {
		return nil, err
	}
	p := served.Place
	return gen.GetStorage200JSONResponse{
		Kind: p.Kind(), Place: p.String(), Path: p.Path, Bucket: p.Bucket, Prefix: p.Prefix, Endpoint: p.Endpoint, Region: p.Region,
		Provider: p.Provider, CommandLine: served.CommandLine, Since: gen.Time{Time: served.Since}, Servers: int64(served.Servers),
	}, nil
}

func (a *api) GetStoragePreflight(ctx context.Context, _ gen.GetStoragePreflightRequestObject) (gen.GetStoragePreflightResponseObject, error) {
	s, _, err := a.storage(ctx, "read")
	if err != nil {
		return nil, err
	}
	tried, err := s.LastPreflight(ctx)
	if err != nil {
		return nil, err
	}
	return gen.GetStoragePreflight200JSONResponse(wirePreflight(tried)), nil
}

func (a *api) PreflightStorage(ctx context.Context, r gen.PreflightStorageRequestObject) (gen.PreflightStorageResponseObject, error) {
	s, _, err := a.storage(ctx, "update")
	if err != nil {
		return nil, err
	}
	p, secret, err := destination(*r.Body)
	if err != nil {
		return nil, err
	}
	tried, err := s.Preflight(ctx, p, secret, r.Params.Rates)
	if err != nil {
		return nil, err
	}
	return gen.PreflightStorage200JSONResponse(wirePreflight(tried)), nil
}

// destination reads where content is to be moved to.
func destination(d gen.StorageDestination) (cutover.Place, cutover.Secret, error) {
	if d.V4Auth != nil && !*d.V4Auth {
		return cutover.Place{}, cutover.Secret{}, problem.New(problem.BadRequest,
			"destination: the copy signs requests with version 4 only, as every store that is still maintained does; leave v4auth out")
	}
	secret := cutover.Secret{SecretKey: d.SecretKey}
	p, err := cutover.CheckDestination(cutover.Place{
		Provider: d.Provider, Endpoint: d.Endpoint, Region: d.Region, Bucket: d.Bucket, Prefix: d.Prefix, AccessKey: d.AccessKey,
		PathStyle: d.PathStyle, Insecure: d.Insecure, CACertificate: d.CaCertificate, StorageClass: d.StorageClass, ACL: d.ACL,
		Encrypt: d.Encrypt, EncryptKey: d.EncryptKey,
	}, secret)
	return p, secret, err
}

func wirePreflight(t cutover.Tried) gen.StoragePreflight {
	w := gen.StoragePreflight{
		Place: t.Place, Verdict: string(t.Verdict), Unreachable: t.Unreachable, MissingPermissions: append([]string{}, t.Permissions...),
		Rows: make([]gen.StoragePreflightRow, 0, len(t.Rows)), Time: gen.Time{Time: t.Time},
	}
	for _, row := range t.Rows {
		w.Rows = append(w.Rows, wireRow(row))
	}
	if t.Rates != nil {
		w.Rates = &gen.StorageRates{LatencySeconds: t.Rates.LatencySeconds, RequestsPerSecond: t.Rates.Requests, BytesPerSecond: t.Rates.Bandwidth}
	}
	return w
}

func wireRow(row migration.PreflightRow) gen.StoragePreflightRow {
	return gen.StoragePreflightRow{
		Name: row.Name, State: string(row.State), Found: row.Found, Means: row.Means, Advice: row.Advice, Permission: row.Permission, Needs: row.Needs,
		Reason: row.Reason, Form: row.Form, Values: row.Values,
	}
}

func (a *api) StartStorageMigration(ctx context.Context, r gen.StartStorageMigrationRequestObject) (gen.StartStorageMigrationResponseObject, error) {
	s, operator, err := a.storage(ctx, "update")
	if err != nil {
		return nil, err
	}
	p, secret, err := destination(r.Body.Destination)
	if err != nil {
		return nil, err
	}
	b := r.Body
	switch {
	case b.Concurrency < 0 || b.Concurrency > 1000:
		return nil, problem.New(problem.BadRequest, "concurrency %d: want 1 to 1000, or 0 for %d", b.Concurrency, migration.DefaultConcurrency)
	case b.Bandwidth < 0:
		return nil, problem.New(problem.BadRequest, "bandwidth %d: want bytes a second, or 0 for no limit", b.Bandwidth)
	case b.WindowSeconds < 0 || b.WindowSeconds > 3600:
		return nil, problem.New(problem.BadRequest, "window_seconds %d: want 1 to 3600, or 0 for %d", b.WindowSeconds, cutover.DefaultTarget)
	}
	_, err = s.Start(ctx, operator, p, secret, cutover.Options{
		Automatic: b.Automatic, Concurrency: int(b.Concurrency), Bandwidth: b.Bandwidth, Deep: b.Deep, Target: int(b.WindowSeconds),
	})
	if err != nil {
		return nil, err
	}
	a.o.Log.InfoContext(ctx, "storage migration started", "by", operator, "destination", p.String())
	return gen.StartStorageMigration201Response(createdAt(basePath + "/storage/migration")), nil
}

func (a *api) GetStorageMigration(ctx context.Context, _ gen.GetStorageMigrationRequestObject) (gen.GetStorageMigrationResponseObject, error) {
	s, _, err := a.storage(ctx, "read")
	if err != nil {
		return nil, err
	}
	state, err := s.Migration(ctx)
	if err != nil {
		return nil, err
	}
	return gen.GetStorageMigration200JSONResponse(wireMigration(state, a.o.Clock())), nil
}

// ask hands on what somebody wants of a migration.
func (a *api) ask(ctx context.Context, action cutover.Action, credential *cutover.Credential) error {
	s, operator, err := a.storage(ctx, "update")
	if err != nil {
		return err
	}
	if err := s.Ask(ctx, operator, action, credential); err != nil {
		return err
	}
	a.o.Log.InfoContext(ctx, "storage migration", "by", operator, "asked", string(action))
	return nil
}

func (a *api) PauseStorageMigration(ctx context.Context, _ gen.PauseStorageMigrationRequestObject) (gen.PauseStorageMigrationResponseObject, error) {
	return gen.PauseStorageMigration200JSONResponse{}, a.ask(ctx, cutover.ActPause, nil)
}

func (a *api) ResumeStorageMigration(ctx context.Context, r gen.ResumeStorageMigrationRequestObject) (gen.ResumeStorageMigrationResponseObject, error) {
	var credential *cutover.Credential
	if b := r.Body; b != nil && (b.AccessKey != "" || b.SecretKey != "") {
		if b.AccessKey == "" || b.SecretKey == "" {
			return nil, problem.New(problem.BadRequest, "an access key and a secret key go together, and one of them is missing")
		}
		credential = &cutover.Credential{AccessKey: b.AccessKey, SecretKey: b.SecretKey}
	}
	return gen.ResumeStorageMigration200JSONResponse{}, a.ask(ctx, cutover.ActResume, credential)
}

func (a *api) CutOverStorageMigration(ctx context.Context, _ gen.CutOverStorageMigrationRequestObject) (gen.CutOverStorageMigrationResponseObject, error) {
	return gen.CutOverStorageMigration200JSONResponse{}, a.ask(ctx, cutover.ActCutOver, nil)
}

func (a *api) CancelStorageMigration(ctx context.Context, _ gen.CancelStorageMigrationRequestObject) (gen.CancelStorageMigrationResponseObject, error) {
	return gen.CancelStorageMigration200JSONResponse{}, a.ask(ctx, cutover.ActCancel, nil)
}

func (a *api) RollBackStorageMigration(ctx context.Context, _ gen.RollBackStorageMigrationRequestObject) (gen.RollBackStorageMigrationResponseObject, error) {
	return gen.RollBackStorageMigration200JSONResponse{}, a.ask(ctx, cutover.ActRollback, nil)
}

func (a *api) FinishStorageMigration(ctx context.Context, _ gen.FinishStorageMigrationRequestObject) (gen.FinishStorageMigrationResponseObject, error) {
	return gen.FinishStorageMigration200JSONResponse{}, a.ask(ctx, cutover.ActFinish, nil)
}

// wireMigration never shows a secret: a state holds none.
func wireMigration(s cutover.State, now time.Time) gen.StorageMigration {
	at := func(t time.Time) gen.Time { return gen.Time{Time: t} }
	p, c := s.Progress, s.Checked
	w := gen.StorageMigration{
		ID: s.ID, Status: string(s.Status), Phase: string(s.Phase), Direction: string(s.Direction), Actions: []string{}, CutoverAsked: s.Asked, Wish: string(s.Wish),
		Source: wirePlace(s.Source), Destination: wirePlace(s.Destination), Automatic: s.Options.Automatic, Bandwidth: s.Options.Bandwidth,
		Concurrency: int64(s.Options.Concurrency), Deep: s.Options.Deep, TargetSeconds: int64(s.Options.Target), Operator: s.Operator,
		CreationTime: at(s.Created), UpdateTime: at(s.Updated), EndTime: at(s.Ended), Phases: []gen.StoragePhase{}, Deltas: []gen.StorageDelta{},
		Progress: gen.StorageProgress{
			Objects: p.Found, Known: p.Known, Copied: p.Copied, Bytes: p.Bytes, Expected: p.Expected, ExpectedBytes: p.ExpectedBytes,
			BytesPerSecond: p.Rate, SecondsLeft: p.SecondsLeft, Failed: p.Failed, Postponed: p.Postponed, Removed: p.Removed,
		},
		Window: gen.StorageWindow{
			EstimateSeconds: s.Estimate(), ReadOnly: s.Window.Open, Seconds: s.Window.Seconds(now), StartTime: at(s.Window.Began), EndTime: at(s.Window.Ended),
		},
		Evidence:    gen.StorageEvidence{Objects: c.Objects, Same: c.Same, Before: c.Before, Proofs: counted(c.Proofs), Bytes: counted(c.ProvenBytes)},
		Differences: wireFindings(s.Findings), DifferencesTotal: c.Differences(), Damage: wireFindings(s.Damage),
		Artifacts: gen.StorageArtifacts{Manifests: s.Artifacts.Manifests, Tags: s.Artifacts.Tags, Broken: s.Artifacts.Broken, BrokenBefore: s.Artifacts.BrokenBefore},
		Pulls:     []gen.StoragePull{},
		Total:     gen.StorageTotal{Objects: s.Total.Objects, Bytes: s.Total.Bytes, Proofs: counted(s.Total.Proofs)},
	}
	for _, action := range s.Actions() {
		w.Actions = append(w.Actions, string(action))
	}
	for _, f := range s.Phases {
		w.Phases = append(w.Phases, gen.StoragePhase{Name: string(f.Name), Direction: string(f.Direction), StartTime: at(f.Began), EndTime: at(f.Ended)})
	}
	for _, d := range s.Deltas {
		w.Deltas = append(w.Deltas, gen.StorageDelta{Time: at(d.Time), Seconds: d.Seconds, Objects: d.Objects, Bytes: d.Bytes})
	}
	if r := s.Rehearsed; !r.Time.IsZero() {
		w.Rehearsal = &gen.StorageRehearsal{
			Time: at(r.Time), Seconds: r.Seconds, Deep: r.Deep, Objects: r.Objects, Same: r.Same, Proofs: counted(r.Proofs), Bytes: counted(r.ProvenBytes),
		}
	}
	for _, pull := range s.Pulls {
		what := "old"
		if pull.New {
			what = "new"
		}
		w.Pulls = append(w.Pulls, gen.StoragePull{
			Repository: pull.Repository, Reference: pull.Reference, Digest: pull.Digest, What: what, Blobs: pull.Blobs, Bytes: pull.Bytes,
			Seconds: pull.Seconds, Error: pull.Error,
		})
	}
	if f := s.Problem; f != nil {
		w.Problem = &gen.StorageProblem{Code: f.Code, Message: f.Message, Advice: f.Advice, Phase: string(f.Phase), Time: at(f.Time)}
	}
	return w
}

// counted is an object in JSON also when nothing was counted.
func counted(counts map[string]int64) map[string]int64 {
	if counts == nil {
		return map[string]int64{}
	}
	return counts
}

func wireFindings(list []cutover.Finding) []gen.StorageFinding {
	w := make([]gen.StorageFinding, 0, len(list))
	for _, f := range list {
		w = append(w, gen.StorageFinding{Kind: f.Kind, Name: f.Name, Reason: f.Reason})
	}
	return w
}

func wirePlace(p cutover.Place) gen.StoragePlace {
	return gen.StoragePlace{
		Kind: p.Kind(), Place: p.String(), Path: p.Path, Bucket: p.Bucket, Prefix: p.Prefix, Endpoint: p.Endpoint, Region: p.Region,
		Provider: p.Provider, AccessKey: p.AccessKey,
	}
}
