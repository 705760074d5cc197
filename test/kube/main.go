// Command kube is a Kubernetes control plane for the tests of Lighterage: etcd,
// kube-apiserver, kube-controller-manager and kube-scheduler in one program. Called
// with the name of one of them it is that one; otherwise it starts them on free ports
// and prints the path of a kubeconfig when they are ready.
//
// It is a module of its own because it needs much that Lighterage does not.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	if len(os.Args) > 1 {
		name := os.Args[1]
		part := map[string]func() *cobra.Command{
			"kube-apiserver":          func() *cobra.Command { return apiserver.NewAPIServerCommand() },
			"kube-controller-manager": func() *cobra.Command { return controllers.NewControllerManagerCommand() },
			"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
		}[name]
		switch {
		case name == "etcd":
			etcdmain.Main(os.Args[1:])
			return
		case part != nil:
			os.Args = os.Args[1:]
			os.Exit(cli.Run(part()))
		}
	}
	runtime.LockOSThread() // the parts end with the thread that starts them
	var p plane
	flag.StringVar(&p.folder, "folder", "", "`folder` for everything")
	flag.BoolVar(&p.controllers, "controllers", false, "run the controller manager too")
	flag.BoolVar(&p.scheduler, "scheduler", false, "run the scheduler too")
	flag.Parse()
	err := p.start()
	if err == nil {
		fmt.Println(p.kubeconfig())
		_, err = io.Copy(io.Discard, os.Stdin) // it ends when whoever started this is gone
	}
	p.stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kube:", err)
		os.Exit(1)
	}
}
