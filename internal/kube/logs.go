package kube

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// logLimit bounds a line of a log: the last one holds a report.
const logLimit = 4 << 20

// logLines calls each with the JSON lines that a container has written, the last of
// them only if tail says how many.
func (c *Cluster) logLines(ctx context.Context, pod, container string, tail int, each func(line map[string]any)) error {
	query := url.Values{"container": {container}}
	if tail > 0 {
		query.Set("tailLines", fmt.Sprint(tail))
	}
	address := c.base + "/api/v1/namespaces/" + url.PathEscape(c.Namespace) + "/pods/" + url.PathEscape(pod) + "/log?" + query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("read the log of pod %s: %w", pod, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 500))
		return fmt.Errorf("read the log of pod %s: %s: %s", pod, answer.Status, text)
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 64<<10), logLimit)
	for lines.Scan() {
		var line map[string]any
		if json.Unmarshal(lines.Bytes(), &line) == nil { // other lines are for people
			each(line)
		}
	}
	return lines.Err()
}
