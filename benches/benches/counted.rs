//! Instructions of the small steps of a request, by callgrind: the same in each run, however busy the machine is.
//!
//! `make count`, which sees to valgrind and the runner.
#![allow(missing_docs, reason = "the macros write undocumented functions")]

use benches::steps::{Admit, FindRoute, LookUpHit, Pick, ReadHead, Step, WriteLine};
use gungraun::{library_benchmark, library_benchmark_group, main};

/// Taken once before it is counted: what is made by the first request of all is none of the others' cost.
fn warm<S: Step>(mut step: S) -> S {
    step.take();
    step
}

/// Given back, so that its end is not counted.
fn taken<S: Step>(mut step: S) -> S {
    step.take();
    step
}

#[library_benchmark]
#[bench::ten_fields(warm(ReadHead::default()))]
fn head(step: ReadHead) -> ReadHead {
    taken(step)
}

#[library_benchmark]
#[bench::prefix_of_1000(warm(FindRoute::default()))]
fn route(step: FindRoute) -> FindRoute {
    taken(step)
}

#[library_benchmark]
#[bench::any_of_1000000_keys(warm(Admit::default()))]
fn guard(step: Admit) -> Admit {
    taken(step)
}

#[library_benchmark]
#[bench::fresh_in_memory(warm(LookUpHit::default()))]
fn look_up(step: LookUpHit) -> LookUpHit {
    taken(step)
}

#[library_benchmark]
#[bench::of_10(warm(Pick::of(10)))]
#[bench::of_1000(warm(Pick::of(1_000)))]
fn pick(step: Pick) -> Pick {
    taken(step)
}

#[library_benchmark]
#[bench::json(warm(WriteLine::default()))]
fn log_line(step: WriteLine) -> WriteLine {
    taken(step)
}

library_benchmark_group!(name = steps; benchmarks = head, route, guard, look_up, pick, log_line);
main!(library_benchmark_groups = steps);
