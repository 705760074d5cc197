package migration

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// A segment is a text, compressed with zstd:
//
//	lighterage-journal 1 <identity of the tree> <run> <time>
//	<one line for each record>
//	end <number of records>
//
// A record is a letter and its fields with single spaces between them. Names come
// without layout.Root.
const (
	segmentMagic     = "lighterage-journal 1"
	segmentExtension = ".zst"
	maxSegment       = 64 << 20 // bytes, compressed
)

type op byte

const (
	opStored     op = '+' // proof size etag name: the destination holds this object
	opTag        op = '=' // proof size etag content name: it holds this tag, which stands for content
	opForget     op = '?' // name: what was recorded is not so
	opIntend     op = '>' // name: is going to be put, see intents
	opRemoving   op = '-' // name: is going to be removed, and may be gone already
	opRemoved    op = 'x' // name: is gone
	opTagsBegin  op = 't' // tags change from here
	opTagsEnd    op = 'T' // all changed tags of this run have been recorded
	opForgetTags op = 'c' // what was recorded of tags before is not so
	opChecked    op = 'v' // a check of everything has found no difference
	opShard      op = 'n' // I/N: a copy of this shard begins
	opShardEnd   op = 'N' // I/N: all its blobs are in the destination
	opShardsEnd  op = 'o' // a copy of everything has made sure that all blobs are
)

type record struct {
	op      op
	proof   tree.Proof
	size    int64  // bytes
	etag    string // "" if unknown
	content string // of tags; of shards which one
	name    string
}

type segmentHead struct {
	tree, run string
	time      time.Time
}

// segment gathers records. The zero value is empty.
type segment struct {
	text    []byte
	records int
}

func (s *segment) add(r record) {
	b := append(s.text, byte(r.op))
	if r.op == opStored || r.op == opTag {
		b = append(b, ' ')
		b = strconv.AppendUint(b, uint64(r.proof), 10)
		b = append(b, ' ')
		b = strconv.AppendInt(b, r.size, 10)
		b = append(b, ' ')
		b = append(b, field(r.etag)...)
	}
	if r.op == opTag || r.op == opShard || r.op == opShardEnd {
		b = append(b, ' ')
		b = append(b, field(r.content)...)
	}
	if r.name != "" {
		b = append(b, ' ')
		b = append(b, strings.TrimPrefix(r.name, layout.Root)...)
	}
	s.text = append(b, '\n')
	s.records++
}

// field is a value that never has a space in it: what a store calls an ETag could
// be anything. One that has is forgotten, and the object is proven in another way.
func field(text string) string {
	if text == "" || strings.ContainsAny(text, " \n\r") {
		return "-"
	}
	return text
}

// seal returns the segment as it is stored.
func (s *segment) seal(h segmentHead) []byte {
	head := fmt.Sprintf("%s %s %s %s\n", segmentMagic, h.tree, h.run, h.time.UTC().Format(time.RFC3339))
	plain := append([]byte(head), s.text...)
	plain = fmt.Appendf(plain, "end %d\n", s.records)
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		panic(err) // the options are not allowed: a mistake in this package
	}
	return encoder.EncodeAll(plain, nil)
}

// parseSegment returns the records. An error means that the segment is not whole or
// not ours.
func parseSegment(stored []byte) (segmentHead, []record, error) {
	decoder, err := zstd.NewReader(bytes.NewReader(stored), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30), zstd.WithDecoderLowmem(true))
	if err != nil {
		return segmentHead{}, nil, err
	}
	defer decoder.Close()
	scanner := bufio.NewScanner(decoder)
	scanner.Buffer(make([]byte, 0, 64<<10), 1<<20)
	var head segmentHead
	var records []record
	ended := -1
	for line := 0; scanner.Scan(); line++ {
		text := scanner.Text()
		switch {
		case line == 0:
			if head, err = parseHead(text); err != nil {
				return head, nil, err
			}
		case ended >= 0:
			return head, nil, errors.New("it goes on after its end")
		case strings.HasPrefix(text, "end "):
			if ended, err = strconv.Atoi(text[len("end "):]); err != nil {
				return head, nil, errors.New("its last line cannot be understood")
			}
		default:
			r, ok := parseRecord(text)
			if !ok {
				return head, nil, fmt.Errorf("a line cannot be understood: %q", text)
			}
			records = append(records, r)
		}
	}
	if err := scanner.Err(); err != nil {
		return head, nil, err
	}
	if ended != len(records) {
		return head, nil, errors.New("it is not whole")
	}
	return head, records, nil
}

func parseHead(text string) (segmentHead, error) {
	rest, ok := strings.CutPrefix(text, segmentMagic+" ")
	fields := strings.Split(rest, " ")
	if !ok || len(fields) != 3 {
		return segmentHead{}, errors.New("it is not a journal of this version")
	}
	at, err := time.Parse(time.RFC3339, fields[2])
	if err != nil {
		return segmentHead{}, errors.New("its first line cannot be understood")
	}
	return segmentHead{tree: fields[0], run: fields[1], time: at}, nil
}

// parseRecord reports with ok whether a line can be understood.
func parseRecord(text string) (r record, ok bool) {
	if text == "" {
		return r, false
	}
	r.op = op(text[0])
	rest := text[1:]
	switch r.op {
	case opTagsBegin, opTagsEnd, opForgetTags, opChecked, opShardsEnd:
		return r, rest == ""
	case opShard, opShardEnd:
		if r.content, ok = strings.CutPrefix(rest, " "); !ok {
			return r, false
		}
		_, err := ParseShard(r.content)
		return r, err == nil
	case opForget, opIntend, opRemoving, opRemoved:
	case opStored, opTag:
		if rest, ok = r.parseFields(rest); !ok {
			return r, false
		}
	default:
		return r, false
	}
	name, ok := strings.CutPrefix(rest, " ")
	r.name = layout.Root + name
	return r, ok && name != ""
}

// parseFields takes what a record tells of an object before its name.
func (r *record) parseFields(text string) (rest string, ok bool) {
	count := 3
	if r.op == opTag {
		count = 4
	}
	var fields [4]string
	rest = text
	for i := range count {
		if rest, ok = strings.CutPrefix(rest, " "); !ok {
			return "", false
		}
		end := strings.IndexByte(rest, ' ')
		if end <= 0 {
			return "", false
		}
		fields[i], rest = rest[:end], rest[end:]
	}
	proof, err := strconv.ParseUint(fields[0], 10, 8)
	if err != nil || tree.Proof(proof) > tree.ReadBack {
		return "", false
	}
	r.proof = tree.Proof(proof)
	if r.size, err = strconv.ParseInt(fields[1], 10, 64); err != nil {
		return "", false
	}
	if fields[2] != "-" {
		r.etag = fields[2]
	}
	r.content = fields[3]
	return rest, true
}
