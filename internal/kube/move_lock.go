package kube

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lighterage/lighterage/internal/problem"
)

var leases = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}

// lockDuration is how long a lock outlives a holder that is gone without a word. It is
// prolonged three times as often.
const lockDuration = 15 * time.Second

// errLockLost is why the work of a holder ends whose lock another may have.
var errLockLost = errors.New("the lock is lost")

// lock takes the lock of a name, so that one process at a time moves a Harbor. The
// context it returns ends when the lock is lost, and unlock gives it back. Whether a
// holder lives is judged by whether the lock changes while it is watched, and by no
// clock but our own.
func (c *Cluster) lock(ctx context.Context, name string) (held context.Context, unlock func(), err error) {
	host, _ := os.Hostname()
	l := &lock{Cluster: c, name: name, holder: fmt.Sprintf("%s_%d_%s", host, os.Getpid(), rand.Text()[:8])}
	if err := l.take(ctx); err != nil {
		return nil, nil, err
	}
	held, lost := context.WithCancelCause(ctx)
	done := make(chan struct{})
	var renewing sync.WaitGroup
	renewing.Go(func() { l.renew(held, done, lost) })
	return held, func() {
		close(done)
		renewing.Wait()
		lost(context.Canceled)
		l.release()
	}, nil
}

type lock struct {
	*Cluster
	name, holder string
	object       *unstructured.Unstructured // as it was last written or seen
}

// take waits until the lock is free, or refuses when its holder is alive.
func (l *lock) take(ctx context.Context) error {
	seen, since := "", time.Now()
	for {
		there, err := l.get(ctx, leases, l.name)
		if err != nil {
			return err
		}
		if there == nil {
			if err := l.create(ctx); err == nil || !apierrors.IsAlreadyExists(err) {
				return err
			}
			continue
		}
		holder := textAt(there.Object, "spec", "holderIdentity")
		free := holder == ""
		switch {
		case seen == "" || free:
			seen, since = there.GetResourceVersion(), time.Now()
		case seen != there.GetResourceVersion():
			return problem.New(problem.Conflict, "%s is being moved by %s: look with \"migrate status --kubernetes\", or wait until that has ended", l.name, holder)
		case time.Since(since) >= lockDuration:
			free = true
		}
		if free {
			l.object = there
			if err = l.write(ctx, l.holder); err == nil {
				return nil
			} else if !apierrors.IsConflict(err) {
				return l.explain(err, "update", leases, l.name)
			}
			seen = ""
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("wait for the lock of %s, which %s holds: %w", l.name, holder, err)
		}
	}
}

func (l *lock) spec(holder string) map[string]any {
	moment := time.Now().UTC().Format("2006-01-02T15:04:05.000000Z07:00")
	return map[string]any{"holderIdentity": holder, "leaseDurationSeconds": int64(lockDuration / time.Second), "renewTime": moment, "acquireTime": moment}
}

func (l *lock) create(ctx context.Context) error {
	object := unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": map[string]any{"name": l.name}, "spec": l.spec(l.holder),
	}}
	made, err := l.of(leases).Create(ctx, &object, metav1.CreateOptions{})
	if err != nil {
		if apierrors.IsAlreadyExists(err) {
			return err
		}
		return l.explain(err, "create", leases, l.name)
	}
	l.object = made
	return nil
}

// write says who holds the lock, unless somebody has changed it since it was seen.
func (l *lock) write(ctx context.Context, holder string) error {
	object := l.object.DeepCopy()
	object.Object["spec"] = l.spec(holder)
	written, err := l.of(leases).Update(ctx, object, metav1.UpdateOptions{})
	if err == nil {
		l.object = written
	}
	return err
}

// renew prolongs the lock until done, and calls lost when it cannot be.
func (l *lock) renew(ctx context.Context, done <-chan struct{}, lost context.CancelCauseFunc) {
	last := time.Now()
	tick := time.NewTicker(lockDuration / 3)
	defer tick.Stop()
	// It is held while the work of a caller who has gone is put in order.
	ctx = context.WithoutCancel(ctx)
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		attempt, cancel := context.WithTimeout(ctx, lockDuration/3)
		err := l.write(attempt, l.holder)
		cancel()
		switch {
		case err == nil:
			last = time.Now()
		case apierrors.IsConflict(err) || apierrors.IsNotFound(err):
			lost(problem.Wrap(problem.Conflict, errLockLost, "the move of %s was taken over by somebody else", l.name))
			return
		case time.Since(last) >= lockDuration*2/3: // somebody may take it from now on
			lost(fmt.Errorf("prolong the lock of %s: %w: %w", l.name, errLockLost, err))
			return
		}
	}
}

// release gives the lock back. If that fails it falls to the next who waits for it.
func (l *lock) release() {
	ctx, cancel := context.WithTimeout(context.Background(), lockDuration/3)
	defer cancel()
	_ = l.write(ctx, "")
}
