//! Figures for Prometheus (<https://prometheus.io/docs/instrumenting/exposition_formats/>): what is counted, and how it is written.
//!
//! Labels are bounded: containers of the document, registries, routes, outcomes; never digests or texts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::report::Report;

/// Bounds of spans, in seconds.
const BOUNDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];
/// Series of one figure, at most: what a label could be is finite, and this makes sure.
const SERIES: usize = 2000;
/// Ticks of processor time a second in `/proc` (`USER_HZ`, `proc_pid_stat(5)`): 100 on all that Linux runs on today.
const TICKS: f64 = 100.0;

/// What came of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The new version has proven itself.
    Committed,
    /// It has not, and the one before runs again.
    RolledBack,
    /// It was not tried: a verdict, a window, its age.
    Skipped,
    /// It could not be tried.
    Failed,
}

/// What has been counted since the start. Clone it.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    passes: Spans,
    passes_ended: BTreeMap<bool, u64>,
    updates: BTreeMap<(String, Outcome), u64>,
    rollbacks: BTreeMap<(String, &'static str), u64>,
    pulled: BTreeMap<String, u64>,
    requests: BTreeMap<(&'static str, &'static str, u16), Spans>,
}

/// Spans, counted by their length.
#[derive(Debug, Clone, Default)]
struct Spans {
    below: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Spans {
    fn add(&mut self, span: Duration) {
        let seconds = span.as_secs_f64();
        for (count, bound) in self.below.iter_mut().zip(BOUNDS) {
            if seconds <= bound {
                *count += 1;
            }
        }
        self.count += 1;
        self.sum += seconds;
    }
}

impl Metrics {
    /// A pass of the loop has ended.
    pub fn passed(&self, took: Duration, well: bool) {
        let mut counted = self.counted();
        counted.passes.add(took);
        *counted.passes_ended.entry(well).or_default() += 1;
    }

    /// An update of a container has ended.
    pub fn updated(&self, container: &str, outcome: Outcome) {
        count(&mut self.counted().updates, (container.to_owned(), outcome), 1);
    }

    /// A container was rolled back. The cause is one of a few words: `app`, `environment`, `interrupted`, `operator`.
    pub fn rolled_back(&self, container: &str, cause: &'static str) {
        count(&mut self.counted().rollbacks, (container.to_owned(), cause), 1);
    }

    /// Bytes have come from a registry.
    pub fn pulled(&self, registry: &str, bytes: u64) {
        count(&mut self.counted().pulled, registry.to_owned(), bytes);
    }

    /// A request was answered. `route` is the address with its parameters in braces; empty for none that there is.
    pub(crate) fn answered(&self, method: &'static str, route: &'static str, status: u16, took: Duration) {
        self.counted().requests.entry((method, route, status)).or_default().add(took);
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All figures as Prometheus reads them.
    pub fn text(&self, report: &Report) -> String {
        let mut page = Page::default();
        device(&mut page, report);
        self.counted().write(&mut page, report);
        process(&mut page);
        page.0
    }
}

fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K, by: u64) {
    if counts.len() < SERIES || counts.contains_key(&key) {
        let count = counts.entry(key).or_default();
        *count = count.saturating_add(by);
    }
}

/// What is known about the device now.
fn device(page: &mut Page, report: &Report) {
    page.figure("deviced_build_info", "gauge", "deviced's own version.");
    page.value("deviced_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    page.figure("deviced_docker_up", "gauge", "Whether the engine answers.");
    page.value("deviced_docker_up", &[], flag(report.engine.up));

    page.figure("deviced_containers", "gauge", "Containers of the document by what is decided about them.");
    let statuses = ["settled", "acting", "proving", "waiting", "paused", "stopped", "blocked"];
    for status in statuses {
        let count = report.containers.iter().filter(|container| container.status == status).count();
        page.value("deviced_containers", &[("state", status)], number(count as u64));
    }
    page.figure("deviced_strays", "gauge", "Containers of ours that the document does not name.");
    page.value("deviced_strays", &[], number(report.strays.len() as u64));
    page.figure("deviced_container_in_sync", "gauge", "Whether a container is as the document says.");
    for container in &report.containers {
        let in_sync = container.status == "settled" && container.drift.is_empty();
        page.value("deviced_container_in_sync", &[("container", &container.id)], flag(in_sync));
    }
    page.figure("deviced_document_revision", "gauge", "The document's revision in force.");
    page.value("deviced_document_revision", &[], number(report.document.revision));
    page.figure("deviced_document_refused", "gauge", "Whether the document's file is not in force.");
    page.value("deviced_document_refused", &[], flag(report.document.problem.is_some()));

    page.figure("deviced_registry_up", "gauge", "Whether a registry answered last.");
    for registry in &report.registries {
        page.value("deviced_registry_up", &[("registry", &registry.url)], flag(registry.up));
    }
    page.figure(
        "deviced_registry_probe_duration_seconds",
        "gauge",
        "A small request to a registry, an average with decay.",
    );
    for registry in &report.registries {
        if let Some(latency) = registry.latency_ms {
            let name = "deviced_registry_probe_duration_seconds";
            page.value(name, &[("registry", &registry.url)], latency / 1000.0);
        }
    }
    page.figure("deviced_registry_requests_total", "counter", "Requests to a registry.");
    for registry in &report.registries {
        let name = "deviced_registry_requests_total";
        page.value(name, &[("registry", &registry.url)], number(registry.requests));
    }
    page.figure("deviced_image_store_bytes", "gauge", "Bytes of images that are ours.");
    let bytes = report.images.iter().fold(0u64, |sum, image| sum.saturating_add(image.size));
    page.value("deviced_image_store_bytes", &[], number(bytes));
    page.figure("deviced_last_reconcile_timestamp_seconds", "gauge", "When the last pass of the loop ended.");
    page.value("deviced_last_reconcile_timestamp_seconds", &[], report.pass.at as f64);
}

impl Counted {
    fn write(&self, page: &mut Page, report: &Report) {
        page.figure("deviced_reconcile_total", "counter", "Passes of the loop by how they ended.");
        for (well, result) in [(true, "ok"), (false, "failed")] {
            let count = self.passes_ended.get(&well).copied().unwrap_or(0);
            page.value("deviced_reconcile_total", &[("result", result)], number(count));
        }
        page.figure(
            "deviced_reconcile_duration_seconds",
            "histogram",
            "Passes of the loop, without what was done because of them.",
        );
        page.spans("deviced_reconcile_duration_seconds", &[], &self.passes);

        page.figure("deviced_updates_total", "counter", "Updates of a container by what came of them.");
        let outcomes = [
            (Outcome::Committed, "committed"),
            (Outcome::RolledBack, "rolled_back"),
            (Outcome::Skipped, "skipped"),
            (Outcome::Failed, "failed"),
        ];
        // Also those that have not happened: a figure that appears with its first event shows no increase.
        for container in &report.containers {
            for (outcome, word) in outcomes {
                let count = self.updates.get(&(container.id.clone(), outcome)).copied().unwrap_or(0);
                let labels = [("container", container.id.as_str()), ("outcome", word)];
                page.value("deviced_updates_total", &labels, number(count));
            }
        }
        page.figure(
            "deviced_rollbacks_total",
            "counter",
            "Rollbacks of a container by whose doing they were.",
        );
        for container in &report.containers {
            for cause in ["app", "environment", "interrupted", "operator"] {
                let count = self.rollbacks.get(&(container.id.clone(), cause)).copied().unwrap_or(0);
                let labels = [("container", container.id.as_str()), ("cause", cause)];
                page.value("deviced_rollbacks_total", &labels, number(count));
            }
        }
        page.figure("deviced_pull_bytes_total", "counter", "Bytes that came from a registry.");
        for (registry, bytes) in &self.pulled {
            page.value("deviced_pull_bytes_total", &[("registry", registry)], number(*bytes));
        }
        page.figure(
            "deviced_http_request_duration_seconds",
            "histogram",
            "Requests to the API, until the answer begins.",
        );
        for ((method, route, status), spans) in &self.requests {
            let status = status.to_string();
            let labels = [("method", *method), ("route", *route), ("status", status.as_str())];
            page.spans("deviced_http_request_duration_seconds", &labels, spans);
        }
    }
}

/// What the kernel says about this process. What can't be read is left out.
fn process(page: &mut Page) {
    // Resident pages are the second number of statm; the page size is 4 KiB or, on some ARM machines, what smaps would say: kB from status.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()
    };
    if let Some(resident) = kilobytes("VmRSS:") {
        page.figure("process_resident_memory_bytes", "gauge", "Resident memory.");
        page.value("process_resident_memory_bytes", &[], resident * 1024.0);
    }
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold anything, the fields are those of proc_pid_stat(5) from the third on.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let field = |number: usize| fields.get(number - 3).and_then(|field| field.parse::<f64>().ok());
    if let (Some(user), Some(system)) = (field(14), field(15)) {
        page.figure("process_cpu_seconds_total", "counter", "Processor time, user and system.");
        page.value("process_cpu_seconds_total", &[], (user + system) / TICKS);
    }
    if let Some(threads) = field(20) {
        page.figure("process_threads", "gauge", "Threads.");
        page.value("process_threads", &[], threads);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        page.figure("process_open_fds", "gauge", "Open file descriptors.");
        page.value("process_open_fds", &[], number(open.count() as u64));
    }
}

/// The page as it grows.
#[derive(Debug, Default)]
struct Page(String);

impl Page {
    // Writing to a String can't fail.

    fn figure(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if index == 0 { "{" } else { "," });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn spans(&mut self, name: &str, labels: &[(&str, &str)], spans: &Spans) {
        let bucket = format!("{name}_bucket");
        for (bound, count) in BOUNDS.iter().zip(spans.below) {
            let bound = bound.to_string();
            let all: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.value(&bucket, &all, number(count));
        }
        let all: Vec<_> = labels.iter().copied().chain([("le", "+Inf")]).collect();
        self.value(&bucket, &all, number(spans.count));
        self.value(&format!("{name}_sum"), labels, spans.sum);
        self.value(&format!("{name}_count"), labels, number(spans.count));
    }
}

const fn flag(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}

/// Figures are doubles in this format.
const fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{ContainerReport, ImageReport, RegistryReport};

    fn report() -> Report {
        let container = |id: &str, status: &str| ContainerReport {
            id: id.to_owned(),
            status: status.to_owned(),
            ..ContainerReport::default()
        };
        let registry = RegistryReport {
            url: "https://registry.example/\"quoted\"\\".to_owned(),
            up: true,
            latency_ms: Some(12.5),
            requests: 3,
            ..RegistryReport::default()
        };
        Report {
            containers: vec![container("web", "settled"), container("db", "proving")],
            registries: vec![registry],
            images: vec![ImageReport { size: 1 << 40, ..ImageReport::default() }],
            ..Report::default()
        }
    }

    #[test]
    fn figures_are_written_as_they_were_counted() {
        let metrics = Metrics::default();
        metrics.passed(Duration::from_millis(3), true);
        metrics.passed(Duration::from_secs(60), true);
        metrics.updated("web", Outcome::RolledBack);
        metrics.rolled_back("web", "app");
        metrics.pulled("https://registry.example", 10);
        metrics.pulled("https://registry.example", 5);
        metrics.answered("GET", "/v1/containers/{id}", 404, Duration::from_micros(1500));
        let text = metrics.text(&report());
        for line in [
            "deviced_docker_up 0",
            "deviced_containers{state=\"settled\"} 1",
            "deviced_containers{state=\"blocked\"} 0",
            "deviced_container_in_sync{container=\"db\"} 0",
            "deviced_reconcile_total{result=\"ok\"} 2",
            "deviced_reconcile_total{result=\"failed\"} 0",
            "deviced_reconcile_duration_seconds_bucket{le=\"0.0025\"} 0",
            "deviced_reconcile_duration_seconds_bucket{le=\"0.005\"} 1",
            "deviced_reconcile_duration_seconds_bucket{le=\"+Inf\"} 2",
            "deviced_updates_total{container=\"web\",outcome=\"rolled_back\"} 1",
            "deviced_updates_total{container=\"db\",outcome=\"committed\"} 0",
            "deviced_rollbacks_total{container=\"web\",cause=\"app\"} 1",
            "deviced_pull_bytes_total{registry=\"https://registry.example\"} 15",
            "deviced_registry_up{registry=\"https://registry.example/\\\"quoted\\\"\\\\\"} 1",
            "deviced_image_store_bytes 1099511627776",
            "deviced_http_request_duration_seconds_count{method=\"GET\",route=\"/v1/containers/{id}\",status=\"404\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(
            text.contains("process_resident_memory_bytes ") && text.contains("process_cpu_seconds_total ")
        );
    }

    #[test]
    fn each_value_belongs_to_a_figure_and_each_figure_is_declared_once() {
        let text = Metrics::default().text(&report());
        let mut declared = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let name = rest.split(' ').next().unwrap();
                assert!(!declared.contains(&name), "{name} twice");
                declared.push(name);
            } else if !line.starts_with('#') {
                assert!(line.starts_with(declared.last().unwrap()), "{line}");
            }
        }
    }

    #[test]
    fn what_is_counted_has_an_end() {
        let metrics = Metrics::default();
        for number in 0..SERIES + 100 {
            metrics.pulled(&number.to_string(), 1);
        }
        assert_eq!(metrics.counted().pulled.len(), SERIES);
    }
}
