// kube-controller-manager for the lab: the garbage collector and the namespace controller, nothing else.
//
// The controllers are Kubernetes' own, with the settings that the real program gives them, and the flags are
// those of the real one that the lab needs. Left out: all controllers that act on nodes, Pods or volumes,
// which take more time to compile than they are of use; leader election, since a lab runs one; /metrics.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
)

const (
	program              = "kube-controller-manager"
	garbageCollectorName = "garbage-collector-controller"
	namespaceName        = "namespace-controller"

	// The real program's defaults.
	qps              = 20
	burst            = 30
	collectorWorkers = 20
	namespaceWorkers = 10
	discoveryPeriod  = 30 * time.Second
	namespaceResync  = 5 * time.Minute
	informerResync   = 12 * time.Hour
)

// aliases are the controllers' older names, which the real program takes too.
var aliases = map[string]string{"garbagecollector": garbageCollectorName, "namespace": namespaceName}

type options struct {
	kubeconfig, controllers, address, certificates string
	port                                           int
}

func main() {
	var given options
	klog.InitFlags(nil)
	flag.StringVar(&given.kubeconfig, "kubeconfig", "", "the API server and the user; required")
	flag.StringVar(&given.controllers, "controllers", "*", "names, separated by commas; * is all, -NAME leaves one out")
	flag.Bool("leader-elect", true, "accepted, as the real program has it; there is no election")
	flag.IntVar(&given.port, "secure-port", 10257, "the HTTPS port of /healthz; 0: none")
	flag.StringVar(&given.address, "bind-address", "0.0.0.0", "the address of that port")
	flag.StringVar(&given.certificates, "cert-dir", "", "the folder of its self-signed certificate; empty: only in memory")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, given); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, given options) error {
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected arguments: %q", flag.Args())
	}
	chosen, err := choose(given.controllers)
	if err != nil {
		return err
	}
	if given.kubeconfig == "" {
		return errors.New("--kubeconfig is required")
	}
	config, err := clientcmd.BuildConfigFromFlags("", given.kubeconfig)
	if err != nil {
		return err
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	if given.port != 0 {
		if err := serveHealth(given); err != nil {
			return err
		}
	}
	return runControllers(ctx, config, chosen)
}

// choose returns the names of the controllers to run, mapped to true.
func choose(list string) (map[string]bool, error) {
	chosen := map[string]bool{}
	for _, each := range strings.Split(list, ",") {
		name, off := strings.CutPrefix(each, "-")
		if full, found := aliases[name]; found {
			name = full
		}
		switch name {
		case "*":
			for _, all := range aliases {
				if _, named := chosen[all]; !named {
					chosen[all] = true
				}
			}
		case garbageCollectorName, namespaceName:
			chosen[name] = !off
		default:
			return nil, fmt.Errorf("--controllers: no %q here; there is %s, %s", name, garbageCollectorName, namespaceName)
		}
	}
	return chosen, nil
}

// runControllers runs them until the context ends.
func runControllers(ctx context.Context, config *rest.Config, chosen map[string]bool) error {
	client, metadataClient, err := clients(config, 1, 2)
	if err != nil {
		return err
	}
	shared := informers.NewSharedInformerFactory(client, informerResync)
	all := informerfactory.NewInformerFactory(shared, metadatainformer.NewSharedInformerFactory(metadataClient, informerResync))
	started := make(chan struct{})

	var group sync.WaitGroup
	if chosen[garbageCollectorName] {
		mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
		ignored := garbagecollector.DefaultIgnoredResources()
		collector, err := garbagecollector.NewGarbageCollector(ctx, client, metadataClient, mapper, ignored, all, started)
		if err != nil {
			return err
		}
		group.Go(func() { collector.Run(ctx, collectorWorkers, discoveryPeriod) })
		group.Go(func() { collector.Sync(ctx, client.Discovery(), discoveryPeriod) })
	}
	if chosen[namespaceName] {
		// Its own clients: emptying a namespace takes many calls at once.
		client, metadataClient, err := clients(config, 20, 20)
		if err != nil {
			return err
		}
		controller := namespace.NewNamespaceController(
			ctx, client, metadataClient, client.Discovery().ServerPreferredNamespacedResources,
			shared.Core().V1().Namespaces(), namespaceResync, corev1.FinalizerKubernetes)
		group.Go(func() { controller.Run(ctx, namespaceWorkers) })
	}
	all.Start(ctx.Done())
	close(started)
	group.Wait()
	return nil
}

// clients returns two clients with so many times the usual rate each.
func clients(config *rest.Config, rate, metadataRate int) (kubernetes.Interface, metadata.Interface, error) {
	client, err := kubernetes.NewForConfig(withRate(config, rate))
	if err != nil {
		return nil, nil, err
	}
	metadataClient, err := metadata.NewForConfig(withRate(config, metadataRate))
	return client, metadataClient, err
}

func withRate(config *rest.Config, times int) *rest.Config {
	own := rest.CopyConfig(config)
	own.QPS, own.Burst = float32(qps*times), burst*times
	return own
}

// serveHealth opens the port and answers there until the program ends.
func serveHealth(given options) error {
	pair, err := certificate(given.address, given.certificates)
	if err != nil {
		return err
	}
	address := net.JoinHostPort(given.address, strconv.Itoa(given.port))
	listener, err := tls.Listen("tcp", address, &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	for _, path := range []string{"/healthz", "/livez", "/readyz"} {
		mux.HandleFunc(path, func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprint(answer, "ok") })
	}
	go func() { klog.ErrorS(http.Serve(listener, mux), "The health port closed", "address", address) }()
	return nil
}

// certificate returns the pair in the folder, under the real program's names, or else makes one and keeps it there.
func certificate(address, folder string) (tls.Certificate, error) {
	certFile, keyFile := filepath.Join(folder, program+".crt"), filepath.Join(folder, program+".key")
	if folder != "" {
		if pair, err := tls.LoadX509KeyPair(certFile, keyFile); !errors.Is(err, os.ErrNotExist) {
			return pair, err
		}
	}
	certPEM, keyPEM, err := cert.GenerateSelfSignedCertKey(address, []net.IP{net.IPv4(127, 0, 0, 1)}, []string{"localhost"})
	if err != nil {
		return tls.Certificate{}, err
	}
	if folder != "" {
		err := errors.Join(
			os.MkdirAll(folder, 0o755), os.WriteFile(certFile, certPEM, 0o644), os.WriteFile(keyFile, keyPEM, 0o600))
		if err != nil {
			return tls.Certificate{}, err
		}
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}
