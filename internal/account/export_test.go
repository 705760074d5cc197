package account

import (
	"context"
	"time"
)

// SetPause replaces the waiting between logins.
func (s *Service) SetPause(pause func(ctx context.Context, d time.Duration) error) { s.pause = pause }

// OnHash calls f with the cost of every hash that is computed.
func (s *Service) OnHash(f func(c Cost)) {
	derive := s.hasher.derive
	s.hasher.derive = func(password string, salt []byte, c Cost, length uint32) []byte {
		f(c)
		return derive(password, salt, c, length)
	}
}
