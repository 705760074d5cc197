// Package harbor makes a real Harbor the home registry: the one whose pushes and
// deletions rules follow, and that pull rules bring images to.
//
// A Harbor tells of its changes in three ways, none of which is enough. Its webhooks
// come at once, but are given up after a few attempts, and say nothing of tags that
// are added or deleted by its console. Its audit log says everything but labels, has
// to be asked, and may be switched off. What is there now can always be listed, but
// only as a whole. So webhooks (webhook.go) and the audit log (audit.go) are taken
// together and written into the table of events before they are answered or passed
// over; record.go sees to it that what both tell counts once. Comparing everything is
// the affair of package replication.
//
// An event is a hint that something may have changed. What an artifact is, whether it
// is still there and what labels it has is always asked of the Harbor.
//
// The package never takes anything for gone because the Harbor cannot be reached,
// refuses an answer, or answers as something else than a Harbor.
package harbor
