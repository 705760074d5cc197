package migration

import "time"

// Destination is what is known of where a registry is to be copied: how it takes
// objects, and how fast it turned out to be.
type Destination struct {
	SinglePut   int64 // the largest object that is sent in one request, bytes
	PartSize    int64 // of larger ones, bytes; it grows where there would be too many parts
	MaxParts    int64 // of one object
	ListPage    int64 // names that one listing request returns
	Concurrency int   // requests under way at a time

	// These three are measured by the caller; what is 0 is not known, and does not limit.
	Latency     time.Duration // of one small request, with the usual number under way
	RequestRate float64       // small requests a second that the store answers at most
	Bandwidth   float64       // bytes a second, all requests together
}

// Estimate is what a first copy takes.
type Estimate struct {
	Puts       int64 `json:"puts"`       // objects that are sent in one request
	Multiparts int64 `json:"multiparts"` // objects that are sent in parts
	Parts      int64 `json:"parts"`
	Lists      int64 `json:"lists"`    // to look at the destination once, as check does
	Requests   int64 `json:"requests"` // of the copy: each object's one, or its parts' and two more
	Bytes      int64 `json:"bytes"`
	// Seconds is the longest of what three limits make of the copy, as all three work at
	// the same time:
	//
	//	bandwidth  Bytes / Bandwidth
	//	requests   Requests / RequestRate
	//	latency    Requests * Latency / Concurrency
	//
	// It is 0 if none is known.
	Seconds float64 `json:"seconds"`
	Limit   string  `json:"limit,omitempty"` // which of them it is
}

func (d Destination) estimate(r AssessReport, blobs *blobTable) Estimate {
	e := Estimate{Bytes: r.ObjectBytes}
	if d.ListPage > 0 {
		e.Lists = ceil(r.Objects, d.ListPage)
	}
	e.Puts = r.Links
	blobs.all(func(_, _ int, b blobState) {
		if b.size() <= d.SinglePut || d.PartSize <= 0 {
			e.Puts++
			return
		}
		e.Multiparts++
		part := d.PartSize
		if d.MaxParts > 0 {
			part = max(part, ceil(b.size(), d.MaxParts))
		}
		e.Parts += ceil(b.size(), part)
	})
	e.Requests = e.Puts + e.Parts + 2*e.Multiparts // one begins and one completes
	limit := func(name string, seconds float64) {
		if seconds > e.Seconds {
			e.Seconds, e.Limit = seconds, name
		}
	}
	if d.Bandwidth > 0 {
		limit("bandwidth", float64(e.Bytes)/d.Bandwidth)
	}
	if d.RequestRate > 0 {
		limit("requests", float64(e.Requests)/d.RequestRate)
	}
	if d.Latency > 0 && d.Concurrency > 0 {
		limit("latency", float64(e.Requests)*d.Latency.Seconds()/float64(d.Concurrency))
	}
	return e
}

func ceil(n, by int64) int64 { return (n + by - 1) / by }
