package bench

// Rows are all rows, in the order in which they are measured.
func Rows() []Row {
	return []Row{
		{
			Name: "restart", What: "restart of one worker, forkserver, another stands by", Unit: "ms",
			Floor: "a bare Python that has imported grpc: TERM, exit, fork, bind, serve",
			Goal:  Goal{By: P95, AtMost: 25, Ratio: 1.5},
			Pairs: 200, QuickPairs: 30, Count: 1, needs: need{forkserver: true}, measure: measureRestart,
		},
		{
			Name: "restart-spawn", What: "restart of one worker, spawn", Unit: "ms",
			Floor: "a bare Python gRPC server: TERM, exit, fresh interpreter, bind, serve",
			Goal:  Goal{By: P95, Ratio: 1.2},
			Pairs: 60, QuickPairs: 10, Count: 1, measure: measureRestartSpawn,
		},
		{
			Name: "ready", What: "{n} workers ready", Unit: "ms",
			Floor: "as many plain Python gRPC servers started together",
			Goal:  Goal{By: Median, Ratio: 0.5},
			Pairs: 20, QuickPairs: 4, needs: need{forkserver: true}, measure: measureReady,
		},
		{
			Name: "ready-imports", What: "{n} workers ready, imports of 0.5 s preloaded", Unit: "ms",
			Floor: "as many plain Python gRPC servers that import as much",
			Goal:  Goal{By: Median, Ratio: 0.2},
			Pairs: 8, QuickPairs: 2, needs: need{forkserver: true}, measure: measureReadyImports,
		},
		{
			Name: "ready-many", What: "{n} workers ready", Unit: "ms",
			Floor: "as many servers forked by a bare Python that has imported grpc",
			Goal:  Goal{By: Median, PerWorker: 20},
			Pairs: 5, QuickPairs: 1, Count: 250, QuickCount: 100, needs: need{forkserver: true}, measure: measureMany,
		},
		orphans("orphans-200", 200, true),
		orphans("orphans", 2000, false),
		orphans("orphans-10000", 10000, true),
		{
			Name: "killed", What: "supervisor of {n} workers killed with -9: none left", Unit: "ms",
			Goal:  Goal{By: P95, AtMost: 100},
			Pairs: 30, QuickPairs: 5, measure: measureKilled,
		},
		{
			Name: "stop", What: "stop of {n} workers, the guard's scan included", Unit: "ms",
			Floor: "the same workers sent TERM from outside: the last exit",
			Goal:  Goal{By: Median, Above: 50},
			Pairs: 20, QuickPairs: 4, measure: measureStop,
		},
		{
			Name: "memory", What: "memory of the supervisor of {n} workers (RSS)", Unit: "MB",
			Goal:  Goal{By: Median, AtMost: 25, PerWorker: 0.1},
			Count: 100, shares: true, measure: measureMemory,
		},
		{
			Name: "idle", What: "supervisor of {n} workers that are not called, of a core", Unit: "%",
			Goal:  Goal{By: Median, AtMost: 0.1},
			Count: 100, Pairs: 3, QuickPairs: 1, shares: true, measure: measureIdle,
		},
		{
			Name: "list", What: "list of {n} workers, whole process", Unit: "ms",
			Goal:  Goal{By: Median, AtMost: 20},
			Count: 100, Pairs: 100, QuickPairs: 20, shares: true, measure: measureList,
		},
		{
			Name: "worker-memory", What: "memory of one of {n} workers (PSS), forkserver", Unit: "MB",
			Floor: "the same with spawn",
			Goal:  Goal{By: Median, Ratio: 0.3},
			Pairs: 3, QuickPairs: 1, needs: need{forkserver: true, linux: true}, measure: measureWorkerMemory,
		},
	}
}

func orphans(name string, processes int, extra bool) Row {
	return Row{
		Name: name, What: "orphans, whole process, {n} more processes", Unit: "ms",
		Floor: "pgrep -f",
		Goal:  Goal{By: Median, Ratio: 0.4}, Extra: extra,
		Count: processes, Pairs: 40, QuickPairs: 10, measure: measureOrphans,
	}
}
