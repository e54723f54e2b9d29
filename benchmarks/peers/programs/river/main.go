// River with PostgreSQL.
//
//   - One queue, MaxWorkers jobs at once: https://riverqueue.com/docs/maintaining-throughput and
//     https://pkg.go.dev/github.com/riverqueue/river#QueueConfig. FetchCooldown, 100 ms by default, bounds how many jobs
//     a second one client can fetch (MaxWorkers each time), so it is lowered, as its documentation says for throughput.
//   - Jobs of a killed worker come back when they have run for longer than RescueStuckJobsAfter, an hour by default;
//     it may not be shorter than JobTimeout: https://pkg.go.dev/github.com/riverqueue/river#Config
//   - Jobs for later are made available by its scheduler, every five seconds; that cannot be set.
//   - InsertManyFast enqueues many at once: https://riverqueue.com/docs/batch-job-insertion
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

type Hook struct {
	Number int    `json:"number"`
	Body   string `json:"body"`
}

func (Hook) Kind() string { return "hook" }

type HookWorker struct {
	river.WorkerDefaults[Hook]
	http     *http.Client
	receiver string
}

func (w *HookWorker) Work(ctx context.Context, job *river.Job[Hook]) error {
	url := fmt.Sprintf("%s/%d", w.receiver, job.Args.Number)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte(job.Args.Body)))
	if err != nil {
		return err
	}
	request.Header.Set("content-type", "application/json")
	answer, err := w.http.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%d", answer.StatusCode)
	}
	return nil
}

func main() {
	ctx := context.Background()
	config := must(pgxpool.ParseConfig(os.Getenv("PEER_STORE")))
	config.MaxConns = 32
	pool := must(pgxpool.NewWithConfig(ctx, config))
	driver := riverpgxv5.New(pool)
	switch os.Args[1] {
	case "setup":
		migrator := must(rivermigrate.New(driver, nil))
		must(migrator.Migrate(ctx, rivermigrate.DirectionUp, nil))
	case "work":
		work(ctx, driver)
	case "enqueue":
		enqueue(ctx, driver)
	}
}

func work(ctx context.Context, driver *riverpgxv5.Driver) {
	atOnce := must(strconv.Atoi(os.Getenv("PEER_AT_ONCE")))
	transport := &http.Transport{MaxIdleConnsPerHost: atOnce, MaxConnsPerHost: atOnce}
	workers := river.NewWorkers()
	river.AddWorker(workers, &HookWorker{http: &http.Client{Transport: transport}, receiver: os.Getenv("PEER_RECEIVER")})
	client := must(river.NewClient(driver, &river.Config{
		Queues:               map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: atOnce}},
		Workers:              workers,
		FetchCooldown:        5 * time.Millisecond,
		FetchPollInterval:    500 * time.Millisecond,
		JobTimeout:           30 * time.Second,
		RescueStuckJobsAfter: 60 * time.Second,
		Logger:               slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	}))
	if err := client.Start(ctx); err != nil {
		log.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	os.Exit(0)
}

func enqueue(ctx context.Context, driver *riverpgxv5.Driver) {
	given := make([]int, 6)
	for i, text := range os.Args[2:8] {
		given[i] = must(strconv.Atoi(text))
	}
	first, count, batch, callers, rate, at := given[0], given[1], given[2], given[3], given[4], given[5]
	client := must(river.NewClient(driver, &river.Config{}))
	var opts *river.InsertOpts
	if at > 0 {
		opts = &river.InsertOpts{ScheduledAt: time.Unix(int64(at), 0)}
	}
	body, began := os.Getenv("PEER_BODY"), time.Now()
	var mutex sync.Mutex
	failed, next := []int{}, first
	take := func() (int, int) {
		mutex.Lock()
		defer mutex.Unlock()
		start := next
		next = min(next+batch, first+count)
		return start, next
	}
	send := func(start, end int) error {
		if end-start == 1 {
			_, err := client.Insert(ctx, Hook{start, body}, opts)
			return err
		}
		many := make([]river.InsertManyParams, 0, end-start)
		for number := start; number < end; number++ {
			many = append(many, river.InsertManyParams{Args: Hook{number, body}, InsertOpts: opts})
		}
		_, err := client.InsertManyFast(ctx, many)
		return err
	}
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for start, end := take(); start < end; start, end = take() {
				if rate > 0 {
					time.Sleep(time.Until(began.Add(time.Duration(start-first) * time.Second / time.Duration(rate))))
				}
				if err := send(start, end); err != nil {
					mutex.Lock()
					for number := start; number < end; number++ {
						failed = append(failed, number)
					}
					mutex.Unlock()
					time.Sleep(100 * time.Millisecond)
				}
			}
		})
	}
	group.Wait()
	told := map[string]any{
		"began": float64(began.UnixMicro()) / 1e6, "seconds": time.Since(began).Seconds(), "failed": failed,
	}
	fmt.Println(string(must(json.Marshal(told))))
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
