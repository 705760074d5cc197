package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/audit"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// deeds are what the audit log calls the operations whose tag and method do not say it in
// Harbor's words.
func deeds() map[string]audit.Kind {
	return map[string]audit.Kind{
		"updateConfigurations":    "update_configuration",
		"refreshSec":              "update_robot",
		"createTag":               "create_tag",
		"deleteTag":               "delete_tag",
		"addLabel":                "update_artifact",
		"removeLabel":             "update_artifact",
		"attachHarborHome":        "attach_harbor",
		"detachHarborHome":        "detach_harbor",
		"createReplicationPolicy": "create_replication_policy",
		"updateReplicationPolicy": "update_replication_policy",
		"deleteReplicationPolicy": "delete_replication_policy",
		"startReplication":        "start_replication",
		"retryReplication":        "start_replication",
		"retryReplicationTask":    "start_replication",
		"repairReplicationDrift":  "start_replication",
		"releaseReplication":      "release_replication",
		"stopReplication":         "stop_replication",
		"startStorageFsck":        "start_storage_fsck",
		"stopStorageFsck":         "stop_storage_fsck",

		"startStorageMigration":    "start_storage_migration",
		"pauseStorageMigration":    "pause_storage_migration",
		"resumeStorageMigration":   "resume_storage_migration",
		"cutOverStorageMigration":  "cutover_storage_migration",
		"cancelStorageMigration":   "cancel_storage_migration",
		"rollBackStorageMigration": "rollback_storage_migration",
		"finishStorageMigration":   "finish_storage_migration",
	}
}

// auditKinds returns the kinds of entries of operations, by their ids. One that the audit log
// does not know is an error: an API that would record what nobody can select is not made.
func auditKinds(operations map[string]operation) (map[string]audit.Kind, error) {
	kinds := map[string]audit.Kind{}
	for pattern, o := range operations {
		method, _, _ := strings.Cut(pattern, " ")
		if method == http.MethodGet || method == http.MethodHead || slices.Contains(unaudited(), o.id) {
			continue
		}
		what, resource := map[string]string{http.MethodPost: "create", http.MethodDelete: "delete"}[method], o.tag
		if what == "" {
			what = "update"
		}
		if named, ok := deeds()[o.id]; ok {
			what, resource = named.Operation(), named.Type()
		}
		kind, err := audit.KindOf(what, resource)
		if err != nil {
			return nil, fmt.Errorf("operation %s: %w", o.id, err)
		}
		kinds[o.id] = kind
	}
	return kinds, nil
}

// unaudited are operations that change nothing that anybody would ask about.
func unaudited() []string {
	return []string{
		"pingRegistry", "preflightStorage", "planReplication", "keepReplicationPlan", "verifyReplicationDrift", "testNotification",
		"rememberAppliedResource", "forgetAppliedResource",
	}
}

// byIndex are operations that the index records where they succeed, with what is pushed.
func byIndex() []string { return []string{"deleteArtifact", "createTag", "deleteTag"} }

// serveAudited answers a request, and records what it did together with what it changed.
func (a *api) serveAudited(w http.ResponseWriter, r *http.Request, values map[string]string, body []byte) {
	entry, audited := a.entryOf(r, values, func() []byte { return body })
	if !audited {
		a.mux.ServeHTTP(w, r)
		return
	}
	ctx, end := r.Context(), func() bool { return true }
	if !slices.Contains(byIndex(), requestOf(ctx).operation.id) {
		var beside *store.Beside
		ctx, beside = store.WithBeside(ctx, func(ctx context.Context, tx *store.Tx) error { return a.o.Audit.Add(ctx, tx, entry) })
		end = beside.End
	}
	watched := &outcome{ResponseWriter: w}
	a.mux.ServeHTTP(watched, r.WithContext(ctx))
	recorded := end()
	switch {
	case watched.failed():
		a.recordFailed(r.Context(), entry)
	case !recorded:
		a.notRecorded(r.Context(), entry, a.o.Audit.Write(context.WithoutCancel(r.Context()), entry))
	}
}

// refuse answers a request that no handler gets to see, and records who asked for what.
func (a *api) refuse(w http.ResponseWriter, r *http.Request, values map[string]string, err error) {
	entry, audited := a.entryOf(r, values, func() []byte {
		if requestOf(r.Context()).operation.body == "" || r.Body == nil {
			return nil
		}
		body, _ := readBody(w, r) // without it what was asked for has no name
		return body
	})
	a.fail(w, r, err)
	if audited {
		a.recordFailed(r.Context(), entry)
	}
}

// entryOf is the entry about a request. There is none where nothing is to be changed, and
// where nobody knows who asks. The body is asked for only where it is looked at.
func (a *api) entryOf(r *http.Request, values map[string]string, body func() []byte) (e audit.Entry, audited bool) {
	if _, audited := a.kinds[requestOf(r.Context()).operation.id]; !audited {
		return e, false
	}
	p, err := a.caller(r.Context())
	if err != nil || !p.Authenticated() {
		return e, false
	}
	return a.entry(r.Context(), p, values, body()), true
}

func (a *api) recordFailed(ctx context.Context, e audit.Entry) {
	e.Failed = true
	a.notRecorded(ctx, e, a.o.Audit.WriteFailed(context.WithoutCancel(ctx), e))
}

// notRecorded logs what the audit log could not take.
func (a *api) notRecorded(ctx context.Context, e audit.Entry, err error) {
	if err != nil {
		a.o.Log.ErrorContext(ctx, "what was done could not be recorded in the audit log",
			"by", e.Username, "what", e.Description, "failed", e.Failed, "error", err)
	}
}

// outcome remembers the status of an answer.
type outcome struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (o *outcome) WriteHeader(status int) {
	if o.status == 0 {
		o.status = status
	}
	o.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (o *outcome) Unwrap() http.ResponseWriter { return o.ResponseWriter }

func (o *outcome) failed() bool { return o.status >= http.StatusBadRequest }

// entry is what a request is going to do. Names are looked up now: what is deleted has none
// afterwards.
func (a *api) entry(ctx context.Context, p account.Principal, values map[string]string, body []byte) audit.Entry {
	operation := requestOf(ctx).operation
	kind := a.kinds[operation.id]
	var sent map[string]any
	_ = json.Unmarshal(body, &sent) // what is no object has no names
	e := audit.Entry{Username: p.Name, Kind: kind, Time: a.o.Clock()}
	e.Project = a.auditedProject(ctx, operation.tag, values, sent)
	e.Resource = a.audited(ctx, p, operation, e.Project, values, sent)
	e.Description = kind.Operation() + " " + strings.ReplaceAll(kind.Type(), "_", " ")
	if operation.id == "updateConfigurations" {
		e.Description += ": " + changedItems(sent)
	} else if e.Resource != "" {
		e.Description += ": " + e.Resource
	}
	if said, ok := saidMore()[operation.id]; ok {
		e.Description += " (" + said + ")"
	}
	return e
}

// saidMore tells operations of the same name apart.
func saidMore() map[string]string {
	return map[string]string{
		"refreshSec": "new secret", "updateUserPassword": "password", "setUserSysAdmin": "administrator flag", "updateUserProfile": "profile",
		"addLabel": "label added", "removeLabel": "label removed", "retryReplication": "retry", "retryReplicationTask": "retry of a task",
		"repairReplicationDrift": "repair of drift",
	}
}

// auditedProject is the name of the project that a request is about.
func (a *api) auditedProject(ctx context.Context, tag string, values map[string]string, sent map[string]any) string {
	if name := values["project_name"]; name != "" {
		return name
	}
	if nameOrID := values["project_name_or_id"]; nameOrID != "" {
		project, err := a.o.Accounts.GetProject(ctx, nameOrID, requestOf(ctx).isName)
		if err != nil {
			return nameOrID
		}
		return project.Name
	}
	if tag == "project" {
		return textOf(sent, "project_name")
	}
	if tag == "robot" && textOf(sent, "level") == string(account.LevelProject) {
		if permissions, ok := sent["permissions"].([]any); ok && len(permissions) > 0 {
			first, _ := permissions[0].(map[string]any)
			return textOf(first, "namespace")
		}
	}
	return ""
}

// audited is the name of what a request is about: that of what its path names by an id, or
// the one that its body gives.
func (a *api) audited(ctx context.Context, p account.Principal, o operation, project string, values map[string]string, sent map[string]any) string {
	if repository := values["repository_name"]; repository != "" {
		if name, err := url.PathUnescape(repository); err == nil { // encoded twice, as Harbor's portal does
			repository = name
		}
		repository = project + "/" + repository
		if reference := values["reference"]; reference != "" {
			return repository + referenceSeparator(reference) + reference
		}
		return repository
	}
	for _, find := range []func() (string, error){
		func() (string, error) { return a.auditedAccount(ctx, p, values) },
		func() (string, error) { return a.auditedByID(ctx, o, values) },
	} {
		if name, err := find(); err == nil && name != "" {
			return name
		}
	}
	switch {
	case o.tag == "robot" && textOf(sent, "name") != "" && values["robot_id"] == "":
		prefix, _ := a.o.Settings.Get(ctx, "robot_name_prefix")
		if project != "" {
			return fmt.Sprint(prefix, project, "+", textOf(sent, "name"))
		}
		return fmt.Sprint(prefix, textOf(sent, "name"))
	case o.id == "updateConfigurations":
		return "configuration"
	case o.id == "startReplication":
		return a.policyName(ctx, int64Of(sent, "policy_id"))
	case o.tag == "member":
		user, _ := sent["member_user"].(map[string]any)
		return strings.TrimSpace(project + " " + textOf(user, "username"))
	}
	for _, field := range []string{"name", "username", "project_name"} {
		if name := textOf(sent, field); name != "" {
			return name
		}
	}
	for _, key := range []string{"project_name_or_id", "user_id", "robot_id", "label_id", "id"} {
		if values[key] != "" {
			return values[key]
		}
	}
	return ""
}

func referenceSeparator(reference string) string {
	if strings.Contains(reference, ":") {
		return "@"
	}
	return ":"
}

// auditedAccount is the name of the user, robot, member or project that a path is about.
func (a *api) auditedAccount(ctx context.Context, p account.Principal, values map[string]string) (string, error) {
	id := func(key string) int64 { n, _ := strconv.ParseInt(values[key], 10, 64); return n }
	switch {
	case values["mid"] != "":
		m, err := a.o.Accounts.GetMember(ctx, p, values["project_name_or_id"], requestOf(ctx).isName, id("mid"))
		return m.Username, err
	case values["user_id"] != "":
		u, err := a.o.Accounts.GetUser(ctx, p, id("user_id"))
		return u.Username, err
	case values["robot_id"] != "":
		r, err := a.o.Accounts.GetRobot(ctx, p, id("robot_id"))
		return r.Name, err
	case values["label_id"] != "":
		l, err := a.o.Index.GetLabel(ctx, id("label_id"))
		return l.Name, err
	default:
		return "", nil
	}
}

// auditedByID is the name of the registry, rule or notification that a path is about.
func (a *api) auditedByID(ctx context.Context, o operation, values map[string]string) (string, error) {
	id, err := strconv.ParseInt(values["id"], 10, 64)
	if err != nil {
		return "", err
	}
	switch {
	case o.tag == "registry":
		e, err := a.o.Replication.GetEndpoint(ctx, id)
		return e.Name, err
	case o.tag == "notification":
		t, err := a.o.Notifications.Get(ctx, id)
		return t.Name, err
	case o.id == "updateReplicationPolicy" || o.id == "deleteReplicationPolicy" || o.id == "repairReplicationDrift":
		return a.policyName(ctx, id), nil
	case o.tag == "replication":
		e, err := a.o.Replication.GetExecution(ctx, id)
		return fmt.Sprintf("%s #%d", a.policyName(ctx, e.PolicyID), id), err
	default:
		return "", nil
	}
}

func (a *api) policyName(ctx context.Context, id int64) string {
	p, err := a.o.Replication.GetPolicy(ctx, id)
	if err != nil {
		return strconv.FormatInt(id, 10)
	}
	return p.Name
}

// changedItems lists configuration items with their new values, but for values that this
// server does not keep: they may be secrets.
func changedItems(sent map[string]any) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		i, known := item(name)
		switch {
		case known && i.kept:
			all = append(all, fmt.Sprintf("%s=%v", name, sent[name]))
		case known:
			all = append(all, name)
		}
	}
	return strings.Join(all, ", ")
}

func textOf(object map[string]any, field string) string {
	text, _ := object[field].(string)
	return text
}

func int64Of(object map[string]any, field string) int64 {
	n, _ := object[field].(float64)
	return int64(n)
}

// noteLogin notes that somebody logged in, or why they could not.
func (a *api) noteLogin(ctx context.Context, name string, err error) {
	remote := requestOf(ctx).remote
	switch {
	case err == nil:
		a.o.Audit.NoteLogin(ctx, name, remote)
	case problem.Is(err, problem.TooManyRequest):
		a.o.Audit.NoteRefusedLogin(ctx, name, remote)
	default:
		a.o.Audit.NoteFailedLogin(ctx, name, remote)
	}
}

func (a *api) noteLogout(ctx context.Context, name string) {
	a.o.Audit.Note(ctx, audit.Entry{Username: name, Resource: name, Kind: audit.LogoutUser, Description: "logout"})
}
