package tree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// A request that is announced sends some of itself all the same, since some programs
// answer only when they have read 256 KiB. It does so slowly: who answers and goes away
// while more is sent is not heard.
const (
	announcedPiece  = 64 << 10
	announcedPieces = 5
)

// requestSize finds out whether something on the way refuses large requests. It says
// that one comes, sends the beginning, and gives up: nothing large is sent. What refuses
// a request for its size does so when it sees the size.
func (t *s3Trial) requestSize(ctx context.Context) {
	sizes := []int64{t.s.config.SingleLimit, 64 * mebibyte, t.s.config.PartSize, driverChunk}
	slices.SortFunc(sizes, func(x, y int64) int { return cmp.Compare(y, x) })
	var refusal error
	for _, size := range slices.Compact(sizes) {
		err := t.announce(ctx, size)
		for again := 0; again < trialUnreachable && err != nil && !isTooLarge(err); again++ {
			err = t.announce(ctx, size)
		}
		switch {
		case err == nil && refusal == nil:
			t.works(TrialSize, "up to %d MiB", size/mebibyte)
			return
		case err == nil:
			t.failsFor(TrialSize, ReasonRefused, fmt.Errorf("%d MiB are taken, and %w", size/mebibyte, refusal))
			return
		}
		refusal = fmt.Errorf("%d MiB are refused: %w", size/mebibyte, err)
	}
	if !isTooLarge(refusal) { // not for the size alone
		t.unknown(TrialSize, refusal)
		return
	}
	t.failsFor(TrialSize, ReasonRefused, refusal)
}

func isTooLarge(err error) bool {
	e, ok := errors.AsType[*s3Error](err)
	return ok && (e.status == http.StatusRequestEntityTooLarge || e.code == "EntityTooLarge" || e.code == "MaxMessageLengthExceeded")
}

// announce returns the answer to a request of a size that comes before its body.
func (t *s3Trial) announce(ctx context.Context, size int64) error {
	short, cancel := context.WithTimeout(ctx, t.o.Patience+10*min(t.rates.Latency, time.Second))
	defer cancel()
	call := &s3Call{open: func(context.Context) (io.ReadCloser, error) {
		return &unfinished{text: t.block[:announcedPiece], pieces: announcedPieces, pause: t.o.Patience / (2 * announcedPieces), done: short.Done(), closed: make(chan struct{})}, nil
	}}
	name := t.name("announced")
	_, err := t.v.send(context.WithValue(short, s3CallKey{}, call), name, size, "", strings.Repeat("0", 64), "")
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil:
		return errors.New("the store answered before it had got the object")
	case short.Err() != nil:
		return nil
	default:
		call.source = nil
		return t.v.judge(call, err).err
	}
}

// unfinished is a body of which only the beginning comes, piece by piece.
type unfinished struct {
	text   []byte // of a piece
	pieces int    // to come
	left   []byte // of the piece that is sent
	pause  time.Duration
	done   <-chan struct{}
	closed chan struct{}
}

func (u *unfinished) Read(p []byte) (int, error) {
	if len(u.left) == 0 {
		var pause <-chan time.Time
		if u.pieces > 0 {
			pause = time.After(u.pause)
		}
		select {
		case <-pause:
			u.pieces--
			u.left = u.text
		case <-u.done:
			return 0, errShort
		case <-u.closed:
			return 0, errShort
		}
	}
	n := copy(p, u.left)
	u.left = u.left[n:]
	return n, nil
}

func (u *unfinished) Close() error {
	close(u.closed)
	return nil
}

// redirect reads an object at an address that the registry would send a client to.
func (t *s3Trial) redirect(ctx context.Context) {
	address, err := t.v.core.PresignedGetObject(ctx, t.v.config.Bucket, t.v.key(t.folder+canary), 20*time.Minute, nil)
	if err != nil {
		t.fails(TrialRedirect, err)
		return
	}
	trial := Trial{Kind: TrialRedirect, Value: address.Host}.saying("a signed address works from here: %s", address.Host)
	content, err := t.visit(ctx, address.String())
	if err == nil && string(content) != trialText {
		err = errors.New("other bytes come than are stored")
	}
	if err != nil {
		// The error may hold the address, which is a secret for some minutes.
		trial.Result, trial.Reason, trial.Err = TrialDiffers, ReasonUnreachable, err
		trial = trial.saying("a signed address does not work from here: %s", strings.ReplaceAll(err.Error(), address.String(), address.Host))
	}
	t.tell(trial)
}

// visit reads what is at an address, without credentials.
func (t *s3Trial) visit(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	answer, err := t.s.transport.base.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(answer.Body, mebibyte))
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP status %s", answer.Status)
	}
	return content, err
}

// deleteMany deletes what is below a prefix as the registry does: it lists, and deletes
// all that was listed with one request.
func (t *s3Trial) deleteMany(ctx context.Context) {
	for _, base := range []string{"many/a/link", "many/b/c/link", "many-more/link"} {
		if _, _, err := t.store(ctx, base, []byte(trialText), nil); err != nil {
			t.unknown(TrialDeleteMany, err)
			return
		}
	}
	names, err := t.below(ctx, t.folder+"many/")
	if err == nil && len(names) != 2 {
		err = fmt.Errorf("%d objects are listed of 2 that were just stored", len(names))
	}
	if err == nil {
		err = t.deleteTogether(ctx, names)
	}
	if err == nil {
		if names, err = t.below(ctx, t.folder+"many/"); err == nil && len(names) > 0 {
			err = fmt.Errorf("%s is listed after it was deleted", names[0])
		}
	}
	if err != nil {
		t.fails(TrialDeleteMany, err)
		return
	}
	t.works(TrialDeleteMany, "what is below a prefix is listed and deleted")
}

// below lists the names below a folder, as Harbor's registry does.
func (t *s3Trial) below(ctx context.Context, folder string) (names []string, err error) {
	err = t.list(ctx, minio.ListObjectsOptions{Prefix: t.v.key(folder), Recursive: true, UseV1: true}, func(found minio.ObjectInfo) bool {
		names = append(names, strings.TrimPrefix(found.Key, t.v.prefix))
		return true
	})
	return names, err
}

// deleteTogether deletes objects with one request for each thousand.
func (t *s3Trial) deleteTogether(ctx context.Context, names []string) error {
	for batch := range slices.Chunk(names, s3Batch) {
		err := t.do(ctx, "s3:DeleteObject", func(ctx context.Context, _ *s3Call) error {
			results, err := t.v.core.RemoveObjectsWithIter(ctx, t.v.config.Bucket, func(yield func(minio.ObjectInfo) bool) {
				for _, name := range batch {
					if !yield(minio.ObjectInfo{Key: t.v.key(name)}) {
						return
					}
				}
			}, minio.RemoveObjectsOptions{})
			if err != nil {
				return err
			}
			for result := range results {
				if result.Err != nil {
					err = cmp.Or(err, result.Err)
				}
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteOne deletes one object, which copies do and the registry does not.
func (t *s3Trial) deleteOne(ctx context.Context) {
	const base = "many-more/link"
	if _, _, err := t.store(ctx, base, []byte(trialText), nil); err != nil {
		t.unknown(TrialDeleteOne, err)
		return
	}
	if err := t.deleteAlone(ctx, t.folder+base); err != nil {
		t.fails(TrialDeleteOne, err)
		return
	}
	if _, _, err := t.fetch(ctx, base, 0); err == nil {
		t.fails(TrialDeleteOne, finding("an object can be read after it was deleted"))
		return
	}
	t.works(TrialDeleteOne, "an object can be deleted")
}

func (t *s3Trial) deleteAlone(ctx context.Context, name string) error {
	err := t.do(ctx, "s3:DeleteObject", func(ctx context.Context, _ *s3Call) error {
		return t.v.core.RemoveObject(ctx, t.v.config.Bucket, t.v.key(name), minio.RemoveObjectOptions{})
	})
	if IsNotExist(err) {
		return nil
	}
	return err
}
