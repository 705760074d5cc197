package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/replication"
)

const (
	// streamTime is how long one stream of events lasts. Who listens comes again, and
	// shows again who it is: nobody listens on with rights that are lost.
	streamTime = 5 * time.Minute
	// writeTime is how long a client may take to receive some events.
	writeTime = 30 * time.Second
	logPause  = 500 * time.Millisecond // between two looks at a log that is followed
)

// stream writes server-sent events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	buffer  bytes.Buffer
}

// begin answers with a stream.
func begin(w http.ResponseWriter) *stream {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // nginx holds answers back otherwise
	w.WriteHeader(http.StatusOK)
	return &stream{w: w, control: http.NewResponseController(w)}
}

// event adds an event whose data has a line or several; id "" is none.
func (s *stream) event(name, id, data string) {
	if name != "" {
		fmt.Fprintf(&s.buffer, "event: %s\n", name)
	}
	if id != "" {
		fmt.Fprintf(&s.buffer, "id: %s\n", id)
	}
	for line := range bytes.SplitSeq([]byte(data), []byte("\n")) {
		fmt.Fprintf(&s.buffer, "data: %s\n", bytes.ReplaceAll(line, []byte("\r"), []byte(" ")))
	}
	s.buffer.WriteByte('\n')
}

// send has the events delivered now. Without any it finds out whether the client is there.
func (s *stream) send() error {
	if s.buffer.Len() == 0 {
		s.buffer.WriteString(":\n\n")
	}
	defer s.buffer.Reset()
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTime))      // where the connection can tell
	defer func() { _ = s.control.SetWriteDeadline(time.Time{}) }() // not for the next request of the connection
	if _, err := s.w.Write(s.buffer.Bytes()); err != nil {
		return err
	}
	return s.control.Flush()
}

// whileListening returns a context that ends with the client, the server, or the time
// of a stream.
func (a *api) whileListening(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, streamTime)
	if a.o.Ending == nil {
		return ctx, cancel
	}
	go func() {
		select {
		case <-a.o.Ending:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// WatchReplication tells what changes.
func (a *api) WatchReplication(ctx context.Context, r gen.WatchReplicationRequestObject) (gen.WatchReplicationResponseObject, error) {
	if _, err := a.require(ctx, "replication", "list"); err != nil {
		return nil, err
	}
	return eventsAnswer{a: a, ctx: ctx, policy: r.Params.PolicyID}, nil
}

type eventsAnswer struct {
	a      *api
	ctx    context.Context // of the request: an answer is given nothing else
	policy int64
}

// VisitWatchReplicationResponse implements gen.WatchReplicationResponseObject.
func (e eventsAnswer) VisitWatchReplicationResponse(w http.ResponseWriter) error {
	ctx, cancel := e.a.whileListening(e.ctx)
	system, err := e.a.watchSettings(ctx)
	if err != nil {
		cancel()
		return err
	}
	changes := e.watch(ctx)
	defer func() {
		cancel()
		for range changes { // until it has ended
		}
	}()
	s := begin(w)
	var told <-chan struct{} // what is ready comes first
	for {
		select {
		case c, more := <-changes:
			if !more {
				return nil // the service has logged why; the client comes again
			}
			if told == nil {
				s.event("ready", "", "{}")
				told = system
			}
			if err := e.write(s, c); err != nil {
				return err
			}
		case _, more := <-told:
			if !more {
				return nil
			}
			s.event("system", "", "{}")
		}
		if s.send() != nil {
			return nil // the client is gone
		}
	}
}

// watch tells what changes until ctx ends or it cannot be seen any more.
func (e eventsAnswer) watch(ctx context.Context) <-chan replication.Changes {
	told := make(chan replication.Changes)
	go func() {
		defer close(told)
		for c, err := range e.a.o.Replication.Watch(ctx) {
			if err != nil {
				return
			}
			select {
			case told <- c:
			case <-ctx.Done():
				return
			}
		}
	}()
	return told
}

func (e eventsAnswer) write(s *stream, c replication.Changes) error {
	for _, execution := range c.Executions {
		if e.policy != 0 && execution.PolicyID != e.policy {
			continue
		}
		data, err := json.Marshal(wireExecution(execution))
		if err != nil {
			return err
		}
		s.event("execution", "", string(data))
	}
	if c.Policies {
		s.event("policies", "", "{}")
	}
	if c.Registries {
		s.event("registries", "", "{}")
	}
	for _, id := range c.Drift {
		if e.policy == 0 || id == e.policy {
			s.event("drift", "", fmt.Sprint(id))
		}
	}
	return nil
}

// FollowReplicationLog tells a log, and what comes to it.
func (a *api) FollowReplicationLog(ctx context.Context, r gen.FollowReplicationLogRequestObject) (gen.FollowReplicationLogResponseObject, error) {
	if _, err := a.require(ctx, "replication", "read"); err != nil {
		return nil, err
	}
	if _, err := a.o.Replication.GetTask(ctx, r.ID, r.TaskID); err != nil {
		return nil, err
	}
	return logAnswer{a: a, ctx: ctx, execution: r.ID, task: r.TaskID, line: r.Params.LastEventID}, nil
}

type logAnswer struct {
	a                     *api
	ctx                   context.Context // of the request: an answer is given nothing else
	execution, task, line int64
}

// VisitFollowReplicationLogResponse implements gen.FollowReplicationLogResponseObject.
func (l logAnswer) VisitFollowReplicationLogResponse(w http.ResponseWriter) error {
	ctx, cancel := l.a.whileListening(l.ctx)
	defer cancel()
	s := begin(w)
	ticker := time.NewTicker(logPause)
	defer ticker.Stop()
	for quiet := 0; ; quiet++ {
		done, err := l.more(ctx, s)
		if err != nil {
			return nil // the task is gone, or the database for now: the client comes again
		}
		// A sign of life about every ten seconds is enough where there are no lines.
		if s.buffer.Len() > 0 || done || quiet%20 == 0 {
			if s.send() != nil {
				return nil
			}
		}
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// more adds the lines that are new. Whether the task is done is asked first: its last
// lines are there when it is.
func (l *logAnswer) more(ctx context.Context, s *stream) (done bool, err error) {
	task, err := l.a.o.Replication.GetTask(ctx, l.execution, l.task)
	if err != nil {
		return false, err
	}
	lines, err := l.a.o.Replication.TaskLogAfter(ctx, l.execution, l.task, l.line)
	if err != nil {
		return false, err
	}
	for _, line := range lines {
		l.line = line.ID
		s.event("", fmt.Sprint(line.ID), line.String())
	}
	switch task.Status {
	case replication.Succeed, replication.Stopped:
		done = true
	case replication.Failed:
		done = task.NextAttemptTime.IsZero() // else it is tried again
	}
	if done {
		s.event("end", "", "{}")
	}
	return done, nil
}
