package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The tokens that the API server knows, and whom they are for. The second one may do
// what a test allows it.
const tokens = `admin-token,admin,1,system:masters
limited-token,limited,2,
`

// plane is a control plane below a folder.
type plane struct {
	folder                 string
	controllers, scheduler bool

	address string // host:port of the API server
	parts   []*part
}

// part is one of its programs.
type part struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// ready is how long the start of a part may take on a busy machine.
const ready = 4 * time.Minute

func (p *plane) kubeconfig() string { return filepath.Join(p.folder, "kubeconfig") }

func (p *plane) path(name string) string { return filepath.Join(p.folder, name) }

// start runs everything. A port that was free a moment ago may be another program's
// now: then everything is tried again with other ports.
func (p *plane) start() error {
	if err := p.files(); err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		err := p.try()
		if err == nil || attempt == 5 || !strings.Contains(err.Error(), "address already in use") {
			return err
		}
		p.stop()
	}
}

func (p *plane) files() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return errors.Join(os.WriteFile(p.path("account.key"), block, 0o600), os.WriteFile(p.path("tokens.csv"), []byte(tokens), 0o600))
}

func (p *plane) try() error {
	ports, err := freePorts(4)
	if err != nil {
		return err
	}
	client, peer := "http://"+ports[0], "http://"+ports[1]
	if err := os.RemoveAll(p.path("etcd")); err != nil {
		return err
	}
	etcd, err := p.run("etcd", "--data-dir", p.path("etcd"), "--unsafe-no-fsync", "--log-level", "error",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	if err != nil {
		return err
	}
	if err := etcd.wait(client+"/health", ""); err != nil {
		return err
	}
	p.address = ports[2]
	host, port, _ := net.SplitHostPort(p.address)
	flags := []string{"--etcd-servers", client, "--cert-dir", p.path("certificates"),
		"--bind-address", host, "--secure-port", port, "--endpoint-reconciler-type", "none", "--advertise-address", host,
		"--service-cluster-ip-range", "10.0.0.0/24", "--allow-privileged",
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", p.path("account.key"),
		"--service-account-signing-key-file", p.path("account.key"),
		"--token-auth-file", p.path("tokens.csv"), "--authorization-mode", "RBAC"}
	if !p.controllers {
		flags = append(flags, "--disable-admission-plugins", "ServiceAccount") // nobody makes accounts
	}
	api, err := p.run("kube-apiserver", flags...)
	if err != nil {
		return err
	}
	if err := api.wait("https://"+p.address+"/readyz", "admin-token"); err != nil {
		return err
	}
	if err := os.WriteFile(p.kubeconfig(), []byte(fmt.Sprintf(kubeconfig, p.address)), 0o600); err != nil {
		return err
	}
	if p.controllers {
		_, err = p.run("kube-controller-manager", "--kubeconfig", p.kubeconfig(), "--service-account-private-key-file", p.path("account.key"),
			"--leader-elect=false", "--secure-port=0", "--use-service-account-credentials=false",
			// There are no nodes: pods on them are none that have to be taken away.
			"--controllers=*,-node-lifecycle-controller,-taint-eviction-controller,-pod-garbage-collector-controller")
	}
	if p.scheduler && err == nil {
		_, err = p.run("kube-scheduler", "--kubeconfig", p.kubeconfig(), "--leader-elect=false", "--secure-port=0")
	}
	return err
}

const kubeconfig = `apiVersion: v1
kind: Config
current-context: admin
clusters:
  - {name: test, cluster: {server: "https://%s", insecure-skip-tls-verify: true}}
users:
  - {name: admin, user: {token: admin-token}}
  - {name: limited, user: {token: limited-token}}
contexts:
  - {name: admin, context: {cluster: test, user: admin}}
  - {name: limited, context: {cluster: test, user: limited}}
`

func (p *plane) run(name string, args ...string) (*part, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(p.path(name + ".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	one := &part{name: name, cmd: exec.Command(self, append([]string{name}, args...)...), log: log.Name(), done: make(chan struct{})}
	one.cmd.Stdout, one.cmd.Stderr = log, log
	endWithParent(one.cmd)
	if err := one.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = one.cmd.Wait(); close(one.done) }()
	p.parts = append(p.parts, one)
	return one, nil
}

// wait asks an address until it answers well, or the part is gone.
func (p *part) wait(url, token string) error {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	for end := time.Now().Add(ready); time.Now().Before(end); {
		request, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		if answer, err := client.Do(request); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %s", p.name, p.tail())
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s is not ready after %s: %s", p.name, ready, p.tail())
}

// tail is the end of what the part has said.
func (p *part) tail() string {
	text, _ := os.ReadFile(p.log)
	if len(text) > 2000 {
		text = text[len(text)-2000:]
	}
	return string(bytes.TrimSpace(text))
}

func (p *plane) stop() {
	for _, one := range p.parts {
		_ = one.cmd.Process.Kill()
		<-one.done
	}
	p.parts = nil
}

func freePorts(n int) ([]string, error) {
	var found []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		found = append(found, l.Addr().String())
	}
	return found, nil
}
