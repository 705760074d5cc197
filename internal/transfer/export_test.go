package transfer

// Idle reports whether nothing is held for destinations any more.
func (g *Sharing) Idle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.parties) == 0 && len(g.feeds) == 0 && len(g.manifests) == 0 && g.memory == 0
}

// Held returns the bytes that are held for destinations.
func (g *Sharing) Held() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.memory
}
