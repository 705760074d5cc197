//go:build unix

package tree

// Stepwise makes the directory open each folder of a path in the one before it, as
// it does where there is no call for the whole of it.
func (d *Directory) Stepwise() { d.direct = false }
