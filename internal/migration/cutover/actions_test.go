package cutover

import (
	"slices"
	"testing"
)

func TestAMigrationIsLeftInOneWay(t *testing.T) {
	for name, tc := range map[string]struct {
		state State
		want  []Action // of cancel and rollback
	}{
		"copying":                          {State{Status: Running, Phase: Copy}, []Action{ActCancel}},
		"waiting":                          {State{Status: Waiting, Phase: Ready}, []Action{ActCancel}},
		"in the window":                    {State{Status: Running, Phase: Final}, []Action{ActCancel}},
		"switching":                        {State{Status: Running, Phase: Switch}, []Action{ActRollback}},
		"switched":                         {State{Status: Running, Phase: Verify, Served: true}, []Action{ActRollback}},
		"failed before the switch":         {State{Status: Failed, Phase: Delta}, []Action{ActCancel}},
		"failed in the switch, and undone": {State{Status: Failed, Phase: Switch}, []Action{ActCancel}},
		"failed after it":                  {State{Status: Failed, Phase: Thaw, Served: true}, []Action{ActRollback}},
		"migrated":                         {State{Status: Migrated, Phase: Done, Served: true}, []Action{ActRollback}},
		"asked for already":                {State{Status: Migrated, Phase: Done, Served: true, Wish: WishRollback}, nil},
		"being left":                       {State{Status: Running, Phase: Copy, Wish: WishCancel}, nil},
		"going back":                       {State{Status: Running, Phase: Copy, Direction: Back}, nil},
		"over":                             {State{Status: Finished, Phase: Done, Served: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := tc.state
			if s.Direction == "" {
				s.Direction = Forward
			}
			var got []Action
			for _, a := range s.Actions() {
				if a == ActCancel || a == ActRollback {
					got = append(got, a)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("offered are %v, want %v", got, tc.want)
			}
			// Clients that know one word for both may say it.
			if err := s.allows(ActRollback); (err == nil) != (len(tc.want) > 0) {
				t.Errorf("to go back: %v", err)
			}
		})
	}
}
