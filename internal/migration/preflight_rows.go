package migration

import (
	"fmt"
	"net"
	"strings"

	"github.com/lighterage/lighterage/internal/tree"
)

// trialFacts are what is known of a place.
type trialFacts struct {
	store  *tree.S3Config // nil: it is a folder
	trials map[tree.TrialKind]tree.Trial
	// handsOn is PreflightOptions.HandsOn.
	handsOn bool
}

var rowStates = map[tree.TrialResult]RowState{
	tree.TrialWorks: RowOK, tree.TrialDiffers: RowWarn, tree.TrialFails: RowFail, tree.TrialUnknown: RowUnknown, tree.TrialSkipped: RowSkipped,
}

// row says in words what a trial has found.
func (f *trialFacts) row(t tree.Trial) PreflightRow {
	row := PreflightRow{Name: string(t.Kind), State: rowStates[t.Result], Reason: string(t.Reason), Found: t.Found, Form: t.Form, Values: t.Values, Permission: t.Permission}
	if t.Needs != "" {
		row.Needs = string(t.Needs)
		row.Found = fmt.Sprintf("not tried: it needs %q", row.Needs)
	}
	words, known := wordsOf(t.Kind)
	if !known {
		return row
	}
	row.Means, row.Setting = words.means, words.setting
	if row.State == RowOK && t.Reason == "" || row.State == RowSkipped {
		f.amend(&row, t)
		return row
	}
	row.Advice = words.advice
	if special, ok := words.reasons[t.Reason]; ok {
		row.Advice = special.advice
		if special.means != "" {
			row.Means = special.means
		}
		if special.setting != "" {
			row.Setting = special.setting
		}
	}
	if t.Permission != "" {
		row.Setting = ""
		row.Advice = fmt.Sprintf("Permit %s in the policy of these credentials.", t.Permission)
		if row.State == RowUnknown {
			row.Advice = fmt.Sprintf("Permit %s to have it looked at, or look yourself.", t.Permission)
		}
	}
	f.amend(&row, t)
	return row
}

// amend adds what depends on more than the trial.
func (f *trialFacts) amend(row *PreflightRow, t tree.Trial) {
	switch t.Kind {
	case tree.TrialRegion:
		if t.Result == tree.TrialFails && t.Value != "" {
			row.Advice = fmt.Sprintf("Give region=%s, here and to the registry.", t.Value)
		}
	case tree.TrialAddressing:
		if t.Value == "path" {
			row.Means = "Release 2.8 of the registry, which Harbor runs, uses path style wherever an endpoint is set. Release 3 does so only when it is told to."
		}
	case tree.TrialRedirect:
		if f.handsOn && t.Result != tree.TrialSkipped {
			*row = PreflightRow{Name: row.Name, State: RowOK, Reason: reasonHandsOn, Found: foundHandsOn, Form: foundHandsOn, Means: notRedirected}
			return
		}
		f.amendRedirect(row, t)
	}
}

// amendRedirect warns of an address that works from here and hardly from elsewhere.
func (f *trialFacts) amendRedirect(row *PreflightRow, t tree.Trial) {
	reason := ""
	switch {
	case t.Result != tree.TrialWorks:
		return
	case isInternal(t.Value):
		reason = "this address looks as if it were known only in the cluster, or on this machine"
	case f.trials[tree.TrialCertificate].Reason == tree.ReasonOwn || f.trials[tree.TrialCertificate].Result == tree.TrialDiffers:
		reason = "whoever pulls, and Harbor's core, has to trust the store's certificate as well"
	default:
		return
	}
	row.State, row.Found, row.Form = RowWarn, row.Found+"; "+reason, row.Form+"; "+reason
	words, _ := wordsOf(tree.TrialRedirect)
	row.Advice = words.advice
}

// isInternal reports whether a host is hardly known outside a cluster or a machine.
func isInternal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil {
		return ip.IsLoopback()
	}
	host = strings.TrimSuffix(host, ".")
	for _, end := range []string{".svc", ".cluster.local", ".localhost", ".local"} {
		if strings.HasSuffix(host, end) {
			return true
		}
	}
	return !strings.Contains(host, ".")
}

// inValues is a setting of the chart.
func inValues(name, value, why string) RegistrySetting {
	return RegistrySetting{Name: "persistence.imageChartStorage." + name, Value: value, Why: why}
}

// inSecret is a setting that the chart cannot make.
func inSecret(name, value, why string) RegistrySetting {
	return RegistrySetting{Name: "REGISTRY_STORAGE_S3_" + name, Value: value, Secret: true, Why: why}
}

// settings are those that a registry needs to use the store as it was found to work.
func (f *trialFacts) settings() []RegistrySetting {
	c := f.store
	list := []RegistrySetting{inValues("type", "s3", ""), inValues("s3.bucket", c.Bucket, "")}
	add := func(is bool, setting RegistrySetting) {
		if is {
			list = append(list, setting)
		}
	}
	trial := func(kind tree.TrialKind) tree.Trial { return f.trials[kind] }
	region := trial(tree.TrialRegion).Value
	add(region != "", inValues("s3.region", region, "the chart says us-west-1 where nothing is said"))
	add(c.Endpoint != "", inValues("s3.regionendpoint", c.Endpoint, ""))
	add(c.RootDirectory != "", inValues("s3.rootdirectory", "/"+c.RootDirectory, ""))
	add(c.Encrypt, inValues("s3.encrypt", "true", ""))
	add(c.EncryptKey != "", inValues("s3.keyid", c.EncryptKey, ""))
	refusesClass := trial(tree.TrialClass).Result == tree.TrialFails
	add(c.StorageClass != "" && !refusesClass, inValues("s3.storageclass", c.StorageClass, ""))
	add(refusesClass, inValues("s3.storageclass", "NONE", "the store refuses the class"))
	add(trial(tree.TrialCopyParts).Result == tree.TrialFails && trial(tree.TrialCopy).Result == tree.TrialWorks,
		inValues("s3.multipartcopythresholdsize", "5368709120", "the store does not copy in parts; larger layers cannot be pushed"))
	add(f.redirectsFail(), inValues("disableredirect", "true", "those who pull may not reach the store"))
	own := trial(tree.TrialCertificate).Reason == tree.ReasonOwn || c.CAFile != ""
	add(own, inValues("caBundleSecretName", "(a Secret with ca.crt)", "the store's certificate is of an authority that systems do not trust"))
	add(c.Insecure, inValues("s3.skipverify", "true", "the chart renders it only together with secure: true"))
	add(c.Insecure, inValues("s3.secure", "true", ""))
	add(trial(tree.TrialAddressing).Value == "path", inSecret("FORCEPATHSTYLE", "true", "for release 3 of the registry; 2.8 does it anyway"))
	add(c.ACL != "" && c.ACL != "none" && c.ACL != "private", inSecret("OBJECTACL", c.ACL, ""))
	return list
}

func (f *trialFacts) redirectsFail() bool {
	t, tried := f.trials[tree.TrialRedirect]
	return tried && !f.handsOn && (t.Result == tree.TrialDiffers || t.Result == tree.TrialWorks && f.row(t).State == RowWarn)
}
