// Package home is the index of the home registry: which repositories, artifacts,
// tags, labels and accessories are in its storage, kept in the database.
//
// The storage is the truth and the index follows it. A change is recorded in
// three steps, which make sure that none is lost however the process ends:
//
//	Begin    an intent row says which reference is about to change
//	         (the caller changes the storage)
//	Record*  index, event and the end of the intent, in one transaction
//
// An intent that is left over names a reference whose state in the storage has to
// be looked at again. Events tell replication what happened; they stay in the
// database until replication has taken them into its own work.
//
// The package never reads or writes the storage and never decides who may do
// what; home/embedded does the first, account the second.
package home
