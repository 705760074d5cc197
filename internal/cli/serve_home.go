package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// HomeConfig says which Harbor is home; without a URL the embedded registry is.
type HomeConfig struct {
	URL           string
	Username      string
	Secret        string
	CACertificate string
	Insecure      bool
	WebhookSecret string
	Change        bool
}

// homeFlags are what serve can be told about a Harbor that is home.
type homeFlags struct {
	HomeConfig
	secretFile, caFile string
}

func (h *homeFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&h.URL, "home", "", "URL of a Harbor that is home, in the place of a registry here")
	f.StringVar(&h.Username, "home-username", "", "administrator or robot account of that Harbor")
	f.StringVar(&h.Secret, "home-secret", "", "its secret; better in LIGHTERAGE_HOME_SECRET or a file, where no list of processes shows it")
	f.StringVar(&h.secretFile, "home-secret-file", "", "file with its secret")
	f.StringVar(&h.caFile, "home-ca-file", "", "PEM file of the authority that signed that Harbor's certificate")
	f.BoolVar(&h.Insecure, "home-insecure", false, "do not verify that Harbor's certificate")
	f.BoolVar(&h.Change, "change-home", false, "let the rules in the database have another home than before")
	for _, name := range []string{"home-secret-file", "home-ca-file"} {
		_ = cmd.MarkFlagFilename(name) // fails for unknown flags only
	}
}

// config reads the files that the flags name.
func (h *homeFlags) config(getenv func(string) string) (HomeConfig, error) {
	c := h.HomeConfig
	c.WebhookSecret = getenv("LIGHTERAGE_WEBHOOK_SECRET")
	if c.URL == "" {
		if h.Username != "" || h.Secret != "" || h.secretFile != "" {
			return c, usage("the account of a Harbor is given, but not which Harbor is home: say --home URL")
		}
		return c, nil
	}
	if h.secretFile != "" {
		if h.Secret != "" {
			return c, usage("--home-secret and --home-secret-file: one of them is enough")
		}
		text, err := readFile("--home-secret-file", h.secretFile)
		if err != nil {
			return c, err
		}
		c.Secret = strings.TrimRight(text, "\r\n")
	}
	if h.caFile != "" {
		var err error
		if c.CACertificate, err = readFile("--home-ca-file", h.caFile); err != nil {
			return c, err
		}
	}
	return c, nil
}
