// Command language-host stands in for pulumi-language-python, which no package registry carries. It is used only beside
// the CLI that we build. Each program runs in a process of its own: with the .venv of its own folder when there is one,
// so that an unpacked older program runs with the SDK that its own lock file names.
//
// It is Go and not Python because the engine starts it twice for every command.
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

const parentPoll = 500 * time.Millisecond

type host struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	python   string // interpreter for programs without a .venv
	executor string // language_exec.py
	mutex    sync.Mutex
	programs map[*exec.Cmd]struct{}
}

func (h *host) Handshake(
	context.Context, *pulumirpc.LanguageHandshakeRequest,
) (*pulumirpc.LanguageHandshakeResponse, error) {
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

func (h *host) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: "3.274.1"}, nil
}

// GetRequiredPackages names none: the engine asks for each provider when a program registers its first resource.
func (h *host) GetRequiredPackages(
	context.Context, *pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	return &pulumirpc.GetRequiredPackagesResponse{}, nil
}

func (h *host) GetRequiredPlugins(
	context.Context, *pulumirpc.GetRequiredPluginsRequest,
) (*pulumirpc.GetRequiredPluginsResponse, error) {
	return &pulumirpc.GetRequiredPluginsResponse{}, nil
}

func (h *host) GetProgramDependencies(
	context.Context, *pulumirpc.GetProgramDependenciesRequest,
) (*pulumirpc.GetProgramDependenciesResponse, error) {
	return &pulumirpc.GetProgramDependenciesResponse{}, nil
}

func (h *host) About(context.Context, *pulumirpc.AboutRequest) (*pulumirpc.AboutResponse, error) {
	return &pulumirpc.AboutResponse{Executable: h.python}, nil
}

func (h *host) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	h.endPrograms()
	return &emptypb.Empty{}, nil
}

// Run hands the request to language_exec.py and returns what that writes: the length and the message go in on its
// standard input, which then stays open, so that its end tells the program that this host is gone.
func (h *host) Run(_ context.Context, request *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	message, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "pulumi-run-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	answer := filepath.Join(folder, "response")

	program := exec.Command(h.interpreterOf(request.GetInfo().GetProgramDirectory()), h.executor, answer)
	program.Stdout, program.Stderr = os.Stdout, os.Stderr
	input, err := program.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := program.Start(); err != nil {
		return nil, err
	}
	h.remember(program, true)
	defer h.remember(program, false)
	if _, err := input.Write(binary.BigEndian.AppendUint64(nil, uint64(len(message)))); err == nil {
		_, _ = input.Write(message) // a program that has ended already says so below
	}
	ended := program.Wait()

	written, err := os.ReadFile(answer)
	if err != nil {
		return &pulumirpc.RunResponse{Error: fmt.Sprintf(
			"the program's process ended (%v) before it said how it went; its last lines are above", ended)}, nil
	}
	response := &pulumirpc.RunResponse{}
	return response, proto.Unmarshal(written, response)
}

func (h *host) interpreterOf(programDirectory string) string {
	own := filepath.Join(programDirectory, ".venv", "bin", "python")
	if _, err := os.Stat(own); err == nil {
		return own
	}
	return h.python
}

func (h *host) remember(program *exec.Cmd, running bool) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if running {
		h.programs[program] = struct{}{}
	} else {
		delete(h.programs, program)
	}
}

func (h *host) endPrograms() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for program := range h.programs {
		_ = program.Process.Signal(syscall.SIGTERM)
	}
}

// awaitEnd returns when the engine asks for the end, or is gone without asking.
func awaitEnd() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	engine := os.Getppid()
	for {
		select {
		case <-signals:
			return
		case <-time.After(parentPoll):
			if os.Getppid() != engine {
				return
			}
		}
	}
}

func main() {
	h := &host{programs: map[*exec.Cmd]struct{}{}}
	flag.StringVar(&h.python, "python", "", "interpreter for programs without a .venv of their own")
	flag.StringVar(&h.executor, "executor", "", "language_exec.py")
	flag.Parse()
	served, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Init: func(server *grpc.Server) error {
			pulumirpc.RegisterLanguageRuntimeServer(server, h)
			return nil
		},
		Options: rpcutil.OpenTracingServerInterceptorOptions(nil),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(served.Port)
	awaitEnd()
	h.endPrograms()
}
