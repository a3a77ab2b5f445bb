// Executes one workflow of a folder with act, a job at a time, on this machine and without Docker.
//
// It reads an order (JSON) from standard input and writes lines of JSON: what each step says, how it ends, which
// outputs it sets, how each job ends. Exit code 0: no job failed. 1: a job failed. 2: the order cannot be executed.
//
// The act command itself is not enough. It has one set of variables for all jobs, where GitHub has one for each
// environment, and it ends at the first called workflow that fails, where GitHub goes on with the jobs that want to
// run then (`if: always()`).
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/nektos/act/pkg/model"
	"github.com/nektos/act/pkg/runner"
	"github.com/sirupsen/logrus"
)

type order struct {
	// The folder that holds .github/workflows.
	Folder string `json:"folder"`
	// The file of the workflow, its event and the file with the event's payload.
	Workflow string `json:"workflow"`
	Event    string `json:"event"`
	Payload  string `json:"payload"`
	// Each job gets an empty folder of its own in here.
	Jobs string `json:"jobs"`
	// The variables of the environment of each job, by "name of the workflow/id of the job".
	Variables map[string]map[string]string `json:"variables"`
	// Folders with the actions that stand in for those of others, by "owner/name@commit".
	Actions map[string]string `json:"actions"`
	// What GitHub tells every step in its environment (GITHUB_SHA, ...).
	Environment map[string]string `json:"environment"`
	Actor       string            `json:"actor"`
	RunsOn      string            `json:"runs_on"`
}

type refusal struct{}

func (refusal) Fetch(_ context.Context, _, url, ref, _ string) (string, error) {
	return "", fmt.Errorf("no action stands in for %s@%s", url, ref)
}

func (refusal) GetTarArchive(_ context.Context, folder, ref, _ string) (io.ReadCloser, error) {
	return nil, fmt.Errorf("no action stands in for %s@%s", folder, ref)
}

// told hears what act says of each job, and gives the job its variables before its first step.
type told struct {
	wanted    order
	variables map[string]string
	out       *json.Encoder
}

func (t *told) WithJobLogger() *logrus.Logger {
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	logger.SetLevel(logrus.DebugLevel) // a skipped job is told of at this level alone
	logger.AddHook(t)
	return logger
}

func (t *told) Levels() []logrus.Level { return logrus.AllLevels }

func (t *told) Fire(entry *logrus.Entry) error {
	line := map[string]any{"job": name(entry)}
	for _, key := range []string{"step", "stepID", "stage", "stepResult", "jobResult", "command", "name", "arg", "content"} {
		if value, known := entry.Data[key]; known {
			line[key] = value
		}
	}
	if line["command"] == "set-env" { // the credentials of a role are among them
		delete(line, "arg")
	}
	_, says := entry.Data["raw_output"]
	setsUp := strings.HasSuffix(entry.Message, "Run Set up job")
	if setsUp {
		clear(t.variables)
		for key, value := range t.wanted.Variables[line["job"].(string)] {
			t.variables[key] = value
		}
	}
	if says || setsUp || entry.Level <= logrus.WarnLevel {
		line["said"] = strings.TrimRight(entry.Message, "\r\n")
	} else if line["stepResult"] == nil && line["jobResult"] == nil && line["command"] == nil {
		return nil
	}
	return t.out.Encode(line)
}

// name returns "name of the workflow/id of the job": act names a job "(caller/)workflow/name of the job".
func name(entry *logrus.Entry) string {
	job, _ := entry.Data["job"].(string)
	parts := strings.Split(strings.TrimSpace(job), "/")
	return fmt.Sprintf("%s/%v", parts[max(0, len(parts)-2)], entry.Data["jobID"])
}

func main() {
	failed, err := execute(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if failed {
		os.Exit(1)
	}
}

func execute(ctx context.Context) (bool, error) {
	var wanted order
	decoder := json.NewDecoder(os.Stdin)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&wanted); err != nil {
		return false, fmt.Errorf("the order cannot be read: %w", err)
	}
	logrus.SetOutput(os.Stderr)
	logrus.SetLevel(logrus.WarnLevel)
	file := filepath.Join(wanted.Folder, ".github", "workflows", wanted.Workflow)
	planner, err := model.NewWorkflowPlanner(file, true, true)
	if err != nil {
		return false, err
	}
	plan, err := planner.PlanEvent(wanted.Event)
	if err != nil {
		return false, err
	}
	if len(plan.Stages) == 0 {
		return false, fmt.Errorf("%s has no job for the event %s", wanted.Workflow, wanted.Event)
	}
	token := os.Getenv("GITHUB_TOKEN")
	if err := os.Unsetenv("GITHUB_TOKEN"); err != nil { // steps have it only where the workflow gives it to them
		return false, err
	}
	hears := &told{wanted: wanted, variables: map[string]string{}, out: json.NewEncoder(os.Stdout)}
	executes, err := runner.New(&runner.Config{
		Actor:          wanted.Actor,
		Workdir:        wanted.Folder,
		ActionCacheDir: wanted.Jobs,
		EventName:      wanted.Event,
		EventPath:      wanted.Payload,
		LogOutput:      true,
		Env:            wanted.Environment,
		Vars:           hears.variables,
		Secrets:        map[string]string{"GITHUB_TOKEN": token},
		Token:          token,
		Platforms:      map[string]string{wanted.RunsOn: "-self-hosted"},
		GitHubInstance: "github.com",
		NoSkipCheckout: true,
		ConcurrentJobs: 1,
		ActionCache: &runner.LocalRepositoryCache{
			Parent:            refusal{},
			LocalRepositories: wanted.Actions,
			CacheDirCache:     map[string]string{},
		},
	})
	if err != nil {
		return false, err
	}
	ctx = runner.WithJobLoggerFactory(ctx, hears)
	failed := false
	for _, stage := range plan.Stages {
		for _, run := range stage.Runs {
			one := &model.Plan{Stages: []*model.Stage{{Runs: []*model.Run{run}}}}
			if err := executes.NewPlanExecutor(one)(ctx); err != nil {
				failed = true
				// Of a called workflow act keeps the result of the job that ended last.
				run.Job().Result = "failure"
				fmt.Fprintln(os.Stderr, err)
			}
			if run.Job().Uses != "" {
				job := fmt.Sprintf("%s/%s", run.Workflow.Name, run.JobID)
				if err := hears.out.Encode(map[string]any{"job": job, "jobResult": run.Job().Result}); err != nil {
					return false, err
				}
			}
		}
	}
	return failed, nil
}
