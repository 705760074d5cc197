package embedded

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/sirupsen/logrus"
)

// bridgeLogs has the library's logger, which is one for the whole process, write to
// slog.Default().
var bridgeLogs = sync.OnceFunc(func() {
	logrus.SetOutput(io.Discard)
	logrus.SetFormatter(bridge{})
	logrus.SetLevel(logrus.WarnLevel) // below it the library would gather fields for every request in vain
	if slog.Default().Enabled(context.Background(), slog.LevelDebug) {
		logrus.SetLevel(logrus.DebugLevel)
	}
	logrus.AddHook(bridge{})
})

type bridge struct{}

// Format implements logrus.Formatter: nothing is written but by Fire.
func (bridge) Format(*logrus.Entry) ([]byte, error) { return nil, nil }

// Levels implements logrus.Hook.
func (bridge) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook. The library logs every request at info level, and
// every answer that is an error, such as a blob that is not there yet, at error
// level; these are details here, unless the request failed through no fault of the
// client: a storage that does not take or give what it should.
func (bridge) Fire(entry *logrus.Entry) error {
	level := slog.LevelDebug
	_, request := entry.Data["http.request.id"]
	switch {
	case request && !ownFault(entry):
	case entry.Level <= logrus.ErrorLevel:
		level = slog.LevelError
	case entry.Level == logrus.WarnLevel:
		level = slog.LevelWarn
	}
	log := slog.Default()
	if !log.Enabled(context.Background(), level) {
		return nil
	}
	attrs := []slog.Attr{slog.String("component", "distribution")}
	for _, name := range []string{"error", "err.code", "err.message", "err.detail", "http.request.method", "http.request.uri", "vars.name", "vars.digest", "path"} {
		if value, ok := entry.Data[name]; ok {
			attrs = append(attrs, slog.Any(name, value))
		}
	}
	log.LogAttrs(context.Background(), level, entry.Message, attrs...)
	return nil
}

// ownFault reports whether the entry is about an answer in the range of 500.
func ownFault(entry *logrus.Entry) bool {
	code, ok := entry.Data["err.code"].(errcode.ErrorCode)
	return ok && code.Descriptor().HTTPStatusCode >= http.StatusInternalServerError
}
