package replication_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// distance is the round trip to a destination, in which those that begin a little later
// come up.
const distance = 150 * time.Millisecond

// third adds two more clusters to a rule, and has all of them be far away.
func (w *world) third(policy int64) []*ts.Registry {
	w.t.Helper()
	all := []*ts.Registry{w.cluster}
	for _, name := range []string{"second", "third"} {
		r := ts.Distribution(w.t)
		id := w.create(name, r.URL)
		w.change(policy, func(p *replication.Policy) {
			p.MoreDestinations = append(p.MoreDestinations, replication.Endpoint{ID: id})
		})
		all = append(all, r)
	}
	for _, r := range all {
		r.Faults.SetLatency(distance)
	}
	return all
}

// readTogether fails the test unless the destinations read together. On a machine that is
// busy with other things one of three may come too late for a blob, and reads it alone.
func (w *world) readTogether() {
	w.t.Helper()
	blobs := map[string]bool{}
	reads := w.home.Requests().Of("GET blob")
	for _, r := range reads {
		blobs[r.Path] = true
	}
	if len(blobs) == 0 || len(reads) >= 3*len(blobs) {
		w.t.Errorf("%d blobs were read by %d requests for 3 destinations", len(blobs), len(reads))
	}
}

func TestAPushIsReadTogetherByAllDestinations(t *testing.T) {
	onBoth(t, func(w *world) {
		w.BePatient()
		p := w.policy("all", rule.EventBased)
		clusters := w.third(p)
		image := ts.Image(w.t, 1, 3, 1_500_000)
		w.push("library/app", "v1", image)
		w.home.ResetRequests()
		w.run()
		for _, r := range clusters {
			w.arrivesAt(r, "library/app", "v1", image)
		}
		w.readTogether()
		if e := w.executions(p); len(e) != 1 || e[0].Total != 3 {
			w.t.Errorf("executions: %+v", e)
		}
	})
}

func TestARunReadsEachRepositoryTogether(t *testing.T) {
	onBoth(t, func(w *world) {
		w.BePatient()
		p := w.policy("all", rule.Manual)
		clusters := w.third(p)
		images := map[string]*ts.Artifact{}
		for i := range 4 { // more tasks than there are places
			repository := fmt.Sprintf("library/app%d", i)
			images[repository] = ts.Image(w.t, uint64(i+1), 1, 1_200_000)
			w.push(repository, "v1", images[repository])
		}
		w.home.ResetRequests()
		w.run()
		if e := w.ended(w.start(p).ID); e.Status != replication.Succeed || e.Total != 12 {
			w.t.Errorf("the execution: %+v", e)
		}
		for _, r := range clusters {
			for repository, image := range images {
				w.arrivesAt(r, repository, "v1", image)
			}
		}
		w.readTogether()
	})
}

func TestAStalledDestinationKeepsNobodyWaiting(t *testing.T) {
	onSQLite(t, func(w *world) {
		p := w.policy("all", rule.EventBased)
		other, id := w.second(p)
		hold := ts.NewHold()
		defer hold.Release()
		other.Faults.Add(ts.Fault{Class: "PUT upload", Do: hold.Request(1000)})
		w.run()
		image := ts.Image(w.t, 1, 2, 1_500_000)
		w.push("library/app", "v1", image)
		w.arrives("library/app", "v1", image)
		if n := w.number(`SELECT count(*) FROM tasks WHERE dest_registry_id = $1 AND status = 'InProgress'`, id); n != 1 {
			w.t.Errorf("%d tasks of the stalled destination are under way", n)
		}
		hold.Release()
		w.arrivesAt(other, "library/app", "v1", image)
	})
}

func TestWhatDestinationsReadTogetherIsGoneOnWithAfterARestart(t *testing.T) {
	onBoth(t, func(w *world) {
		p := w.policy("all", rule.EventBased)
		clusters := w.third(p)
		hold := ts.NewHold()
		defer hold.Release()
		held := w.home.Faults.Add(ts.Fault{Class: "GET blob", Do: hold.Response(500_000)})
		w.run()
		image := ts.Image(w.t, 1, 2, 1_500_000)
		w.push("library/app", "v1", image)
		ts.Eventually(w.t, "layers are being read", func() bool { return hold.Waiting() > 0 })
		w.stop()
		held.Remove()
		hold.Release()
		w.restart()
		for _, r := range clusters {
			w.arrivesAt(r, "library/app", "v1", image)
		}
	})
}

func TestADestinationThatIsStoppedDoesNotStopTheOthers(t *testing.T) {
	onSQLite(t, func(w *world) {
		p := w.policy("all", rule.EventBased)
		clusters := w.third(p)
		hold := ts.NewHold()
		defer hold.Release()
		w.home.Faults.Add(ts.Fault{Class: "GET blob", Do: hold.Response(500_000)})
		w.run()
		image := ts.Image(w.t, 1, 1, 1_500_000)
		w.push("library/app", "v1", image)
		ts.Eventually(w.t, "a layer is being read", func() bool { return hold.Waiting() > 0 })
		for _, task := range w.tasks(p) {
			if task.DestinationID == w.endpoint { // the one that comes first
				w.write(`UPDATE jobs SET stop = TRUE WHERE id = $1`, task.JobID)
			}
		}
		hold.Release()
		for _, r := range clusters[1:] {
			w.arrivesAt(r, "library/app", "v1", image)
		}
	})
}
