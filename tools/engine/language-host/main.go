// Command language-host stands in for pulumi-language-python, which no package registry carries. It is used only beside
// the CLI that we build. Which environment a program runs in, what is installed into it and which packages it needs are
// decided by the genuine package `sdk/v3/python/toolchain`, so that a program which the official host cannot run does not
// run here either. The program itself is run by the genuine pulumi-language-python-exec.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pulumi/pulumi/sdk/v3"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

const (
	parentPoll = 500 * time.Millisecond
	endDelay   = 5 * time.Second
	// What pulumi-language-python-exec ends with when it has shown the error already.
	errorWasShown = 32
)

// pluginFiles prints, for each package named as an argument, the content of its pulumi-plugin.json or null.
const pluginFiles = `
import importlib.metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    file = next((file for file in files if file.name == "pulumi-plugin.json"), None)
    found[name] = json.loads(file.read_text(encoding="utf-8")) if file else None
print(json.dumps(found))`

type host struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	executor string // pulumi-language-python-exec
	engine   string // address of the engine
	ended    context.Context
	end      context.CancelFunc
}

func (h *host) Handshake(
	_ context.Context, request *pulumirpc.LanguageHandshakeRequest,
) (*pulumirpc.LanguageHandshakeResponse, error) {
	h.engine = request.GetEngineAddress()
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

func (h *host) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: version.Version}, nil
}

// toolchainOf returns what makes and runs the environment of a program, by the options of its project file.
func toolchainOf(info *pulumirpc.ProgramInfo) (toolchain.Toolchain, error) {
	options := toolchain.PythonOptions{Root: info.GetRootDirectory(), ProgramDir: info.GetProgramDirectory()}
	named := info.GetOptions().AsMap()
	options.Virtualenv, _ = named["virtualenv"].(string)
	kinds := map[any]func(){
		nil:      func() {},
		"pip":    func() { options.Toolchain = toolchain.Pip },
		"poetry": func() { options.Toolchain = toolchain.Poetry },
		"uv":     func() { options.Toolchain = toolchain.Uv },
	}
	choose, known := kinds[named["toolchain"]]
	if !known {
		return nil, fmt.Errorf("unsupported toolchain option: %v", named["toolchain"])
	}
	choose()
	return toolchain.ResolveToolchain(options)
}

// GetRequiredPackages names the provider of every Pulumi package in the program's environment, whether the stack uses it
// or not: the engine installs each before it runs the program.
func (h *host) GetRequiredPackages(
	ctx context.Context, request *pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	chain, err := toolchainOf(request.GetInfo())
	if err != nil {
		return nil, err
	}
	if err := chain.EnsureVenv(
		ctx, request.GetInfo().GetProgramDirectory(), false, true, os.Stderr, os.Stderr,
	); err != nil {
		return nil, err
	}
	packages, err := chain.ListPackages(ctx, true)
	if err != nil {
		return nil, err
	}
	arguments := []string{"-c", pluginFiles}
	for _, found := range packages {
		arguments = append(arguments, found.Name)
	}
	command, err := chain.Command(ctx, arguments...)
	if err != nil {
		return nil, err
	}
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("looking for providers among the installed packages: %w", err)
	}
	var described map[string]*plugin.PulumiPluginJSON
	if err := json.Unmarshal(output, &described); err != nil {
		return nil, err
	}
	response := &pulumirpc.GetRequiredPackagesResponse{}
	for _, found := range packages {
		provider := described[found.Name]
		if provider == nil || !provider.Resource {
			continue
		}
		name, release := provider.Name, provider.Version
		if name == "" {
			name = strings.TrimPrefix(found.Name, "pulumi-")
		}
		if release == "" {
			release = found.Version
		}
		response.Packages = append(response.Packages, &pulumirpc.PackageDependency{
			Name: name, Version: "v" + strings.TrimPrefix(release, "v"), Kind: "resource", Server: provider.Server,
		})
	}
	return response, nil
}

func (h *host) GetProgramDependencies(
	ctx context.Context, request *pulumirpc.GetProgramDependenciesRequest,
) (*pulumirpc.GetProgramDependenciesResponse, error) {
	chain, err := toolchainOf(request.GetInfo())
	if err != nil {
		return nil, err
	}
	packages, err := chain.ListPackages(ctx, request.GetTransitiveDependencies())
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.GetProgramDependenciesResponse{}
	for _, found := range packages {
		response.Dependencies = append(response.Dependencies,
			&pulumirpc.DependencyInfo{Name: found.Name, Version: found.Version})
	}
	return response, nil
}

func (h *host) About(ctx context.Context, request *pulumirpc.AboutRequest) (*pulumirpc.AboutResponse, error) {
	chain, err := toolchainOf(request.GetInfo())
	if err != nil {
		return nil, err
	}
	about, err := chain.About(ctx)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.AboutResponse{
		Executable: about.PythonExecutable, Version: about.PythonVersion.String(),
	}, nil
}

func (h *host) InstallDependencies(
	request *pulumirpc.InstallDependenciesRequest, server pulumirpc.LanguageRuntime_InstallDependenciesServer,
) error {
	chain, err := toolchainOf(request.GetInfo())
	if err != nil {
		return err
	}
	closer, stdout, stderr, err := rpcutil.MakeInstallDependenciesStreams(server, request.GetIsTerminal())
	if err != nil {
		return err
	}
	if err := chain.InstallDependencies(server.Context(), request.GetInfo().GetProgramDirectory(),
		request.GetUseLanguageVersionTools(), true, stdout, stderr); err != nil {
		return errors.Join(err, closer.Close())
	}
	return closer.Close()
}

func (h *host) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	h.end()
	return &emptypb.Empty{}, nil
}

// Run runs a program until it ends, the engine cancels it, or the engine is gone.
func (h *host) Run(ctx context.Context, request *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	chain, err := toolchainOf(request.GetInfo())
	if err != nil {
		return nil, err
	}
	if err := chain.ValidateVenv(ctx); err != nil {
		return nil, err
	}
	arguments := []string{h.executor}
	for _, named := range [][2]string{
		{"--monitor", request.GetMonitorAddress()},
		{"--engine", h.engine},
		{"--project", request.GetProject()},
		{"--root_directory", request.GetInfo().GetRootDirectory()},
		{"--stack", request.GetStack()},
		{"--pwd", request.GetPwd()},
		{"--dry_run", strconv.FormatBool(request.GetDryRun())},
		{"--parallel", strconv.Itoa(int(request.GetParallel()))},
		{"--organization", request.GetOrganization()},
	} {
		if named[1] != "" {
			arguments = append(arguments, named[0], named[1])
		}
	}
	arguments = append(append(arguments, request.GetInfo().GetEntryPoint()), request.GetArgs()...)
	running, stop := context.WithCancel(h.ended)
	defer stop()
	context.AfterFunc(ctx, stop)
	command, err := chain.Command(running, arguments...)
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(request.GetConfig())
	if err != nil {
		return nil, err
	}
	secretKeys, err := json.Marshal(append([]string{}, request.GetConfigSecretKeys()...))
	if err != nil {
		return nil, err
	}
	command.Env = append(command.Env, "PULUMI_CONFIG="+string(config), "PULUMI_CONFIG_SECRET_KEYS="+string(secretKeys))
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	interruptible(command)
	err = command.Run()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return &pulumirpc.RunResponse{}, nil
	case errors.As(err, &ended) && ended.ExitCode() == errorWasShown:
		return &pulumirpc.RunResponse{Bail: true}, nil
	case errors.As(err, &ended): // a RunError ends with 1, and the engine tells of it a second time
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("program exited with non-zero exit code: %d", ended.ExitCode())}, nil
	default:
		return nil, err
	}
}

// RunPlugin runs a policy pack, as `python -m pulumi.policy` in the folder of the pack.
func (h *host) RunPlugin(
	request *pulumirpc.RunPluginRequest, server pulumirpc.LanguageRuntime_RunPluginServer,
) error {
	if request.GetKind() != string(apitype.AnalyzerPlugin) {
		return fmt.Errorf("this stand-in runs policy packs, not plugins of kind %q", request.GetKind())
	}
	chain, err := toolchainOf(request.GetInfo())
	if err != nil {
		return err
	}
	folder := request.GetInfo().GetProgramDirectory()
	arguments := append(append([]string{"-u", "-m", "pulumi.policy"}, request.GetArgs()...), folder)
	command, err := chain.Command(server.Context(), arguments...)
	if err != nil {
		return err
	}
	closer, stdout, stderr, err := rpcutil.MakeRunPluginStreams(server, false)
	if err != nil {
		return err
	}
	// The pack learns the stack's configuration from its environment, so the proxy asks the engine before it starts.
	proxy, stdout, err := sdk.NewPolicyProxy(server.Context(), stdout)
	if err != nil {
		return err
	}
	config, err := proxy.AwaitConfiguration(server.Context())
	if err != nil {
		return err
	}
	if config != nil {
		values, err := json.Marshal(config.Config)
		if err != nil {
			return err
		}
		command.Env = append(command.Env,
			"PULUMI_ORGANIZATION="+config.Organization, "PULUMI_PROJECT="+config.Project, "PULUMI_STACK="+config.Stack,
			"PULUMI_DRY_RUN="+strconv.FormatBool(config.DryRun), "PULUMI_CONFIG="+string(values))
	}
	command.Dir, command.Stdout, command.Stderr = folder, stdout, stderr
	command.Env = append(command.Env, request.GetEnv()...)
	if err := command.Start(); err != nil {
		return err
	}
	err = proxy.Attach(server.Context(), command)
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		err = server.Send(&pulumirpc.RunPluginResponse{
			Output: &pulumirpc.RunPluginResponse_Exitcode{Exitcode: int32(ended.ExitCode())},
		})
	}
	return errors.Join(err, closer.Close())
}

// interruptible lets a program end in its own way before it is killed.
func interruptible(command *exec.Cmd) {
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = endDelay
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
	h := &host{}
	h.ended, h.end = context.WithCancel(context.Background())
	flag.StringVar(&h.executor, "executor", "", "pulumi-language-python-exec")
	flag.Parse()
	h.engine = flag.Arg(0)
	served, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Init: func(server *grpc.Server) error {
			pulumirpc.RegisterLanguageRuntimeServer(server, h)
			return nil
		},
		Options: rpcutil.TracingServerInterceptorOptions(nil),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(served.Port)
	awaitEnd()
	h.end()
}
