package migration

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// RowState is how one thing that was tried out is.
type RowState string

// The states of rows. A verdict is one of the first three.
const (
	RowOK      RowState = "ok"
	RowWarn    RowState = "warn" // a registry works, and there is something to know or to do
	RowFail    RowState = "fail" // a registry or a copy does not work
	RowUnknown RowState = "unknown"
	RowSkipped RowState = "skipped"
)

// PreflightRow says of one thing that a registry needs whether it is there.
type PreflightRow struct {
	Name   string   `json:"name"` // see tree.TrialKind
	State  RowState `json:"state"`
	Reason string   `json:"reason,omitempty"` // see tree.TrialReason: it tells causes apart that want different remedies
	Found  string   `json:"found"`            // what was seen
	// Form and Values are Found for other languages, see tree.Trial; "" where it is what
	// somebody else says.
	Form   string   `json:"form,omitempty"`
	Values []string `json:"values,omitempty"`
	Means  string   `json:"means,omitempty"`  // what that is for a registry
	Advice string   `json:"advice,omitempty"` // what to do
	// Setting is where it is set for Harbor, in the values of its chart below
	// persistence.imageChartStorage unless it says otherwise.
	Setting    string `json:"setting,omitempty"`
	Permission string `json:"permission,omitempty"` // that the credentials lack: "s3:PutObject"
	Needs      string `json:"needs,omitempty"`      // the row that a skipped one waits for
}

// RegistrySetting is what to give to the registry, as it was found to be right.
type RegistrySetting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Secret is true if the chart has no such value: then the name is that of a key in
	// the Secret that s3.existingSecret names, which reaches the registry as a variable.
	Secret bool   `json:"secret,omitempty"`
	Why    string `json:"why,omitempty"`
}

// PreflightRates are tree.Rates for programs; 0 is not known.
type PreflightRates struct {
	LatencySeconds float64 `json:"latency_seconds"`
	Requests       float64 `json:"requests_per_second"`
	Bandwidth      float64 `json:"bytes_per_second"`
}

// PreflightReport says whether a registry can be given a storage.
type PreflightReport struct {
	Place   string         `json:"place"`
	Verdict RowState       `json:"verdict"`
	Rows    []PreflightRow `json:"rows"`
	// Unreachable is that no request was answered as asked: nobody answers, whoever
	// answers is not trusted, or does not trust the credentials.
	Unreachable bool              `json:"unreachable"`
	Permissions []string          `json:"missing_permissions,omitempty"`
	Settings    []RegistrySetting `json:"settings,omitempty"` // of a store
	Rates       *PreflightRates   `json:"rates,omitempty"`    // if they were measured

	free int64 // bytes in a directory; -1: not known

	// Destination is what Assess wants to know for its estimate.
	Destination Destination `json:"-"`
}

// PreflightOptions say what is tried out.
type PreflightOptions struct {
	OnRow func(PreflightRow) // called one at a time, as soon as something is known
	// Rates, NeedBytes and NeedObjects are as for tree.TrialOptions.
	Rates                  bool
	NeedBytes, NeedObjects int64
	// HandsOn is that the registry will read the storage for those who pull, and sends
	// nobody to it.
	HandsOn bool
	Trials  tree.TrialOptions // the rest of them
}

// Preflight tries out what a registry will need of dst, and what a copy will, and says
// what each result means. What it stores it removes again. The error is that ctx has
// ended or that dst cannot be tried out; whatever dst lacks is in the report.
func Preflight(ctx context.Context, dst tree.Tree, o PreflightOptions) (PreflightReport, error) {
	r := PreflightReport{Place: dst.String(), free: -1}
	trier, ok := dst.(tree.Trier)
	if !ok {
		return r, problem.New(problem.Unsupported, "%s cannot be tried out", dst)
	}
	facts := trialFacts{handsOn: o.HandsOn}
	if store, ok := dst.(interface{ Config() tree.S3Config }); ok {
		c := store.Config()
		facts.store = &c
	}
	facts.trials = map[tree.TrialKind]tree.Trial{}
	trials := o.Trials
	trials.Rates, trials.NeedBytes, trials.NeedObjects = o.Rates, o.NeedBytes, o.NeedObjects
	trials.OnTrial = func(t tree.Trial) {
		facts.trials[t.Kind] = t
		if free, err := strconv.ParseInt(t.Value, 10, 64); err == nil && t.Kind == tree.TrialSpace {
			r.free = free
		}
		row := facts.row(t)
		r.add(row)
		if o.OnRow != nil {
			o.OnRow(row)
		}
	}
	rates, err := trier.Trials(ctx, trials)
	r.conclude(&facts, rates, o.Rates)
	return r, err
}

// add puts a row in, in place of one of the same name.
func (r *PreflightReport) add(row PreflightRow) {
	at := slices.IndexFunc(r.Rows, func(other PreflightRow) bool { return other.Name == row.Name })
	if at >= 0 {
		r.Rows[at] = row
		return
	}
	r.Rows = append(r.Rows, row)
}

// Fits fails the row about free space if more is to be stored than there is, for who
// finds out only later how much that is. It returns the row if it changed.
func (r *PreflightReport) Fits(bytes int64) (PreflightRow, bool) {
	if r.free < 0 || bytes <= r.free {
		return PreflightRow{}, false
	}
	words, _ := wordsOf(tree.TrialSpace)
	row := PreflightRow{Name: string(tree.TrialSpace), State: RowFail, Means: words.means, Advice: words.advice,
		Found: fmt.Sprintf("%.1f GiB; needed are %.1f GiB", float64(r.free)/(1<<30), float64(bytes)/(1<<30))}
	r.add(row)
	r.judge()
	return row, true
}

// judge draws the verdict from the rows.
func (r *PreflightReport) judge() {
	r.Verdict = RowOK
	for _, row := range r.Rows {
		switch {
		case row.State == RowFail:
			r.Verdict = RowFail
		case row.State == RowWarn && r.Verdict == RowOK:
			r.Verdict = RowWarn
		}
		if row.Permission != "" && !slices.Contains(r.Permissions, row.Permission) {
			r.Permissions = append(r.Permissions, row.Permission)
		}
	}
}

func (r *PreflightReport) conclude(f *trialFacts, rates tree.Rates, measured bool) {
	slices.SortStableFunc(r.Rows, func(x, y PreflightRow) int { return rowOrder(x.Name) - rowOrder(y.Name) })
	r.judge()
	for _, kind := range []tree.TrialKind{tree.TrialReach, tree.TrialCertificate, tree.TrialClock, tree.TrialCredentials} {
		r.Unreachable = r.Unreachable || f.trials[kind].Result == tree.TrialFails
	}
	if f.store != nil && !r.Unreachable {
		r.Settings = f.settings()
	}
	r.Destination = f.destination(rates)
	if measured && rates.Requests > 0 {
		r.Rates = &PreflightRates{rates.Latency.Seconds(), rates.Requests, rates.Bandwidth}
	}
}

// rowOrder is the place of a row among the others.
func rowOrder(name string) int {
	return slices.IndexFunc(rowWords, func(w rowWord) bool { return string(w.kind) == name })
}

// What a store allows, for the estimate of a copy to it.
const (
	storeParts    = 10_000
	storeListPage = 1000
)

func (f *trialFacts) destination(rates tree.Rates) Destination {
	d := Destination{Concurrency: DefaultConcurrency, Latency: rates.Latency, RequestRate: rates.Requests, Bandwidth: rates.Bandwidth}
	if c := f.store; c != nil {
		d.SinglePut, d.PartSize, d.MaxParts, d.ListPage = c.SingleLimit, c.PartSize, storeParts, storeListPage
		d.Concurrency = c.MaxConcurrency
	}
	if rates.Requests == 0 {
		d.Latency = 0 // of one request alone, which says nothing of many
	}
	return d
}
