package tree

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"
)

// Tree is a storage that holds a registry's files. Names are relative to its root,
// with slashes and without one in front (see package layout); others are refused with
// ErrName. All methods may be called from many goroutines at a time, and return early,
// with the cause, when their context ends.
type Tree interface {
	// String names the tree in messages, without secrets: "/srv/registry",
	// "s3://bucket/prefix at https://s3.example.com".
	String() string

	// Local reports whether objects come from this machine's own file systems, so that
	// to read one costs no request.
	Local() bool

	// List yields the objects that o selects, in ascending order of the bytes of
	// their names, as they are found. A prefix that does not exist yields nothing.
	// After an error nothing more is yielded: what came before is not all there is.
	List(ctx context.Context, o ListOptions) iter.Seq2[Object, error]

	// Folders yields the names of the folders directly in folder ("" or ending with a
	// slash), without the path and the slash, in ascending order of their bytes. A
	// folder that does not exist yields nothing.
	Folders(ctx context.Context, folder string) iter.Seq2[string, error]

	// Stat tells about one object; the error is fs.ErrNotExist when there is none.
	Stat(ctx context.Context, name string) (Object, error)

	// Read opens size bytes of an object from offset on, or all that follows if size is
	// negative or more than that, which is nothing behind the object's end. Reading
	// ends with io.ErrUnexpectedEOF when the store breaks off before the object's end.
	// The error is fs.ErrNotExist when there is no such object.
	Read(ctx context.Context, name string, offset, size int64) (io.ReadCloser, error)

	// Put stores an object under name, in place of one that is there. When the content
	// turns out not to have the digest it should have, nothing is stored and the
	// error is ErrDigest.
	Put(ctx context.Context, name string, c Content) (Receipt, error)

	// Prove says, without reading the object, whether o as it was listed holds the bytes
	// that hash to want. content is these bytes where they are few and known, and nil
	// otherwise. The proof is Unproven when the tree cannot tell, as a directory never
	// can; the error is ErrDigest when it surely holds others.
	Prove(ctx context.Context, o Object, want digest.Digest, content []byte) (Proof, error)

	// Remove deletes objects; one that is not there is no error. Folders that become
	// empty go too, where there are folders.
	Remove(ctx context.Context, names []string) error
}

// ListOptions select what is listed.
type ListOptions struct {
	// Prefix is what all names begin with. It is "" or ends with a slash.
	Prefix string
	// After and Until bound the names: only those greater than After and less than
	// Until are listed; "" is no bound. Listing goes through nothing before After.
	After, Until string
	// Implied lets a directory yield the files that the layout says are in a folder
	// without looking: blobs/.../<hex>/data, .../link. It saves a look at each file;
	// what is yielded has Size -1 and may not exist. A store ignores it.
	Implied bool
	// Present goes with Implied: a directory looks for each such file, in place of looking
	// what its folder holds, and yields it as it is, or not if it is not there.
	Present bool
	// Uploads includes what layout calls an upload: all that is below the _uploads
	// folders of repositories.
	Uploads bool
	// OnError is told what listing comes upon and cannot show: a folder or file that
	// cannot be read, or something that is neither (ErrNotRegular). path is its name,
	// with a slash at the end if it is a folder. Listing goes on without it if OnError
	// returns true; otherwise, and without OnError, err ends the listing: nothing is
	// passed over in silence. A folder or file that goes away meanwhile is no error.
	OnError func(path string, err error) bool
}

// Object is what a listing knows of a file.
type Object struct {
	Name     string
	Size     int64     // bytes; -1: not looked at
	Modified time.Time // zero: not looked at
	// ETag is the store's name for this version of the content, without quotes. In a
	// directory it is made of the file's size and time of modification in nanoseconds.
	// "" if it was not looked at.
	ETag string
}

// Content is what Put stores.
type Content struct {
	Size   int64         // bytes
	Digest digest.Digest // what the content must hash to
	// Open returns size bytes from offset on. It is called again for each attempt, and
	// for several parts at a time.
	Open func(ctx context.Context, offset, size int64) (io.ReadCloser, error)
}

// Proof is how it is known that an object's bytes are right.
type Proof uint8

// The kinds of proof, the weakest first.
const (
	Unproven Proof = iota
	// Sized: the object is there and has the right size.
	Sized
	// Hashed: we hashed the bytes on their way into the tree, and the tree took them.
	Hashed
	// ETag: the store's MD5 of what it holds is that of the right bytes.
	ETag
	// Checksum: the store holds a SHA-256 that it computed itself, and it is the right one.
	Checksum
	// Accepted: the store hashed the bytes while it took them and compares, as was
	// tried out, with the digest that the request was signed with. The parts of a large
	// object were each signed with their own, and hashed together to the object's.
	Accepted
	// ReadBack: the bytes were read from the tree and hashed.
	ReadBack
)

var proofWords = [...]string{"unproven", "size only", "hashed on the way", "ETag", "stored checksum", "accepted under its digest", "read back"}

// String names the proof in the words of reports.
func (p Proof) String() string { return proofWords[p] }

// Receipt is what a tree answers to Put.
type Receipt struct {
	Proof Proof
	ETag  string // see Object
}

// ErrDigest is that content does not hash to its digest.
var ErrDigest = errors.New("the content does not have the digest it should have")

// ErrNotRegular is that something in a tree is neither a file nor a folder: a
// symbolic link, which is never followed, a socket, a device.
var ErrNotRegular = errors.New("neither a file nor a folder")

// fatalError ends all work on a tree, see IsFatal.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

// IsFatal reports whether err means that nothing else will succeed on this tree
// either: the bucket does not exist, access is denied, the disk is full.
func IsFatal(err error) bool {
	_, ok := errors.AsType[*fatalError](err)
	return ok
}

// IsNotExist reports whether err says that an object is not there.
func IsNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
