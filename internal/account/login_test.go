package account_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

// counted returns a counter of the password hashes that are computed.
func counted(f *fixture) *atomic.Int64 {
	var n atomic.Int64
	f.OnHash(func(account.Cost) { n.Add(1) })
	return &n
}

func from(t testing.TB, address string) context.Context {
	return account.WithRemote(t.Context(), address)
}

func TestProvenPasswordIsNotHashedAgain(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	hashes := counted(f)
	for range 5 {
		f.login(t, "admin", adminPassword) // proven by the fixture
	}
	if n := hashes.Load(); n != 0 {
		t.Errorf("%d hashes", n)
	}
	f.clock.Advance(time.Hour)
	f.login(t, "admin", adminPassword)
	f.login(t, "admin", adminPassword)
	if n := hashes.Load(); n != 1 {
		t.Errorf("%d hashes after an hour, want 1", n)
	}
}

func TestManyFirstRequestsAtOnceAreOneLogin(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	f.clock.Advance(time.Hour)
	var hashes atomic.Int64
	arrived := make(chan struct{}, 64)
	f.OnHash(func(account.Cost) {
		hashes.Add(1)
		for range 20 { // until they all are on their way
			<-arrived
		}
	})
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			arrived <- struct{}{}
			if _, err := f.Authenticate(from(t, "192.0.2.1"), "admin", adminPassword); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	// Who came after the first check was through found the password proven.
	if n := hashes.Load(); n != 1 {
		t.Errorf("%d hashes for 20 requests", n)
	}
}

func TestLeavingWhileThePasswordIsCheckedHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	f.clock.Advance(time.Hour)
	started, finish := make(chan struct{}), make(chan struct{})
	f.OnHash(func(account.Cost) {
		close(started)
		<-finish
	})
	ctx, leave := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := f.Authenticate(ctx, "admin", adminPassword)
		first <- err
	}()
	<-started
	leave()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	second := make(chan error, 1)
	go func() {
		_, err := f.Authenticate(t.Context(), "admin", adminPassword)
		second <- err
	}()
	close(finish)
	if err := <-second; err != nil {
		t.Errorf("the other one got %v", err)
	}
}

func TestWrongUnknownAndEmptyTakeTheSameWork(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	r, _, _ := f.robot(t, "ci", "library", pull())
	var costs []account.Cost
	f.OnHash(func(c account.Cost) { costs = append(costs, c) })
	for _, name := range []string{"admin", "nobody", "robot$nobody", r.Name, "", "\x00", strings.Repeat("x", 5000)} {
		costs = nil
		_, err := f.Authenticate(t.Context(), name, "Wr0ngPassword")
		wantProblem(t, err, problem.Unauthorized, "unauthorized")
		if len(costs) != 1 || costs[0] != cheap() {
			t.Errorf("%.20q: work %v, want one hash", name, costs)
		}
	}
}

func TestPasswordOfOneIsNotProvenForAnother(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	f.user(t, "a")
	_, err := f.CreateUser(t.Context(), f.admin, account.NewUser{Username: "aP", Email: "ap@example.com", Realname: "x", Password: "Passw0rd2"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Authenticate(t.Context(), "aP", "assw0rd1") // a + Passw0rd1
	wantProblem(t, err, problem.Unauthorized, "unauthorized")
}

func TestChangeCountsAtOnceHereAndInASecondElsewhere(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, rawURL string) {
		here := setup(t, storetest.OpenURL(t, rawURL), account.Options{})
		elsewhere := setup(t, storetest.OpenURL(t, rawURL), account.Options{})
		dev := here.user(t, "dev1")
		r, _, secret := here.robot(t, "ci", "library", pull())
		for _, change := range []struct {
			name, login, password string
			f                     func() error
		}{
			{"password", "dev1", "Passw0rd1", func() error { return here.SetPassword(t.Context(), here.admin, dev.ID, "", "N3wPassword") }},
			{"user deleted", "dev1", "N3wPassword", func() error { return here.DeleteUser(t.Context(), here.admin, dev.ID) }},
			{"robot disabled", r.Name, secret, func() error {
				return here.UpdateRobot(t.Context(), here.admin, r.ID,
					account.RobotUpdate{Name: r.Name, Level: r.Level, Disabled: true, Permissions: r.Permissions})
			}},
		} {
			here.clock.Advance(2 * time.Second)
			elsewhere.clock.Advance(2 * time.Second)
			here.login(t, change.login, change.password)
			kept := elsewhere.login(t, change.login, change.password)
			if err := change.f(); err != nil {
				t.Fatal(err)
			}
			_, err := here.Authenticate(t.Context(), change.login, change.password)
			wantProblem(t, err, problem.Unauthorized, "")
			elsewhere.clock.Advance(time.Second)
			_, err = elsewhere.Authenticate(t.Context(), change.login, change.password)
			wantProblem(t, err, problem.Unauthorized, "")
			_, err = elsewhere.Renew(t.Context(), kept)
			wantProblem(t, err, problem.Unauthorized, "")
		}
	})
}

func TestRenewBringsAKeptPrincipalUpToDate(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	dev := f.user(t, "dev1")
	if err := f.SetSysAdmin(t.Context(), f.admin, dev.ID, true); err != nil {
		t.Fatal(err)
	}
	renewed, err := f.Renew(t.Context(), dev)
	if err != nil || !renewed.SysAdmin {
		t.Errorf("got %+v, %v", renewed, err)
	}
	for _, p := range []account.Principal{account.Anonymous(), account.System("x")} {
		if got, err := f.Renew(t.Context(), p); err != nil || got.Kind != p.Kind {
			t.Errorf("got %+v, %v, want it unchanged", got, err)
		}
	}
	if err := f.DeleteUser(t.Context(), f.admin, dev.ID); err != nil {
		t.Fatal(err)
	}
	f.user(t, "dev1") // another one of that name
	_, err = f.Renew(t.Context(), dev)
	wantProblem(t, err, problem.Unauthorized, "unauthorized")
}

func TestHashIsBroughtUpToTodaysCostAtLogin(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	old := setup(t, db, account.Options{})
	token, err := old.IssueToken(t.Context(), old.admin, account.TokenService, nil)
	if err != nil {
		t.Fatal(err)
	}
	dearer := account.Cost{MemoryKiB: 16, Passes: 2}
	s, err := account.New(t.Context(), db, account.Options{PasswordCost: dearer, Clock: old.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Authenticate(t.Context(), "admin", adminPassword)
	if err != nil {
		t.Fatal(err)
	}
	var hash string
	if err := db.QueryRowContext(t.Context(), `SELECT password_hash FROM users WHERE id = 1`).Scan(&hash); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=16,t=2,p=1$") {
		t.Errorf("the hash is still %s", hash)
	}
	// It is still the same password: sessions and tokens live on.
	if _, err := s.Renew(t.Context(), p); err != nil {
		t.Error(err)
	}
	if _, err := s.Authorize(t.Context(), "Bearer "+token.Token, "", "base"); err != nil {
		t.Error(err)
	}
	if _, err := s.Authenticate(t.Context(), "admin", adminPassword); err != nil {
		t.Error(err)
	}
}

func TestGuessingIsSlowedDownAndThenRefused(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	var waited time.Duration
	f.SetPause(func(_ context.Context, d time.Duration) error {
		waited += d
		f.clock.Advance(d)
		return nil
	})
	guesses := 0
	for waited < time.Minute {
		_, err := f.Authenticate(from(t, "192.0.2.66:1234"), "admin", "Guess"+string(rune('a'+guesses)))
		wantProblem(t, err, problem.Unauthorized, "unauthorized")
		guesses++
	}
	if guesses > 20 {
		t.Errorf("%d guesses in a minute", guesses)
	}
	// All at once is no way around: what would have to wait too long is refused.
	f.SetPause(func(context.Context, time.Duration) error { return nil })
	refused := 0
	for i := range 100 {
		_, err := f.Authenticate(from(t, "192.0.2.66:999"), "admin", "More"+string(rune('a'+i)))
		if problem.Is(err, problem.TooManyRequest) {
			refused++
		}
	}
	if refused < 90 {
		t.Errorf("%d of 100 guesses at once were refused", refused)
	}
}

func TestGuessingDoesNotLockOutTheOwner(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	f.user(t, "dev1")
	f.clock.Advance(time.Hour) // nothing is proven
	if _, err := f.Authenticate(from(t, "198.51.100.1"), "dev1", "Passw0rd1"); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(time.Hour)
	var waited time.Duration
	f.SetPause(func(_ context.Context, d time.Duration) error {
		waited = d
		return nil
	})
	for i := range 2000 { // a guesser with many addresses
		address := "192.0.2." + string(rune('0'+i%10))
		_, _ = f.Authenticate(from(t, address), "dev1", "Guess"+string(rune('a'+i)))
	}
	waited = 0
	if _, err := f.Authenticate(from(t, "198.51.100.1"), "dev1", "Passw0rd1"); err != nil || waited != 0 {
		t.Errorf("from where the owner logged in before: %v after %s", err, waited)
	}
	f.clock.Advance(15*time.Minute + time.Second)
	for i := range 100 {
		_, _ = f.Authenticate(from(t, "192.0.2.9"), "dev1", "Other"+string(rune('a'+i)))
	}
	waited = 0
	if _, err := f.Authenticate(from(t, "203.0.113.7"), "dev1", "Passw0rd1"); err != nil || waited > 2*time.Second {
		t.Errorf("from a new address: %v after %s", err, waited)
	}
}

func TestStoredHashThatIsDamagedIsAFailureNotAnAnswer(t *testing.T) {
	t.Parallel()
	for _, hash := range []string{
		"", "x", "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ", "$argon2i$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=4000000000,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=8,t=1,p=1x$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	} {
		f := open(t, account.Options{})
		f.exec(t, `UPDATE users SET password_hash = $1`, hash)
		f.clock.Advance(time.Minute)
		_, err := f.Authenticate(t.Context(), "admin", adminPassword)
		if err == nil || problem.KindOf(err) != problem.Unknown {
			t.Errorf("%q: got %v", hash, err)
		}
	}
}

func TestSecretsAreStoredHashed(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	_, _, secret := f.robot(t, "ci", "library", pull())
	for query, plain := range map[string]string{
		`SELECT password_hash FROM users WHERE id = 1`: adminPassword,
		`SELECT secret_hash FROM robots WHERE id = 1`:  secret,
	} {
		var stored string
		if err := f.db.QueryRowContext(t.Context(), query).Scan(&stored); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(stored, "$argon2id$") || strings.Contains(stored, plain) {
			t.Errorf("%s: %s", query, stored)
		}
	}
}

func TestCostsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	for _, cost := range []account.Cost{{MemoryKiB: 1, Passes: 1}, {MemoryKiB: 8}, {MemoryKiB: 1 << 30, Passes: 1}} {
		if _, err := account.New(t.Context(), db, account.Options{PasswordCost: cost}); err == nil {
			t.Errorf("%+v is accepted", cost)
		}
	}
}

func BenchmarkPasswordHash(b *testing.B) {
	db := storetest.Open(b)
	s, err := account.New(b.Context(), db, account.Options{})
	if err != nil {
		b.Fatal(err)
	}
	s.SetPause(func(context.Context, time.Duration) error { return nil })
	for b.Loop() {
		_, _ = s.Authenticate(b.Context(), "nobody", "Wr0ngPassword")
	}
}
