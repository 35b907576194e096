//! The two formats of the metrics.

use crate::harness::admin::{self, ask};
use crate::harness::fake;
use crate::harness::tidegate::Tidegate;

#[test]
fn a_scraper_gets_the_format_that_it_prefers() {
    let tidegate = Tidegate::start(admin::settings(&fake::refusing()));
    let prometheus = "Accept: application/openmetrics-text;version=1.0.0,\
                      application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let open_metrics = ask(&tidegate, "GET /metrics", &[prometheus]);
    assert_eq!(
        open_metrics.all("content-type"),
        ["application/openmetrics-text; version=1.0.0; charset=utf-8"]
    );
    assert!(open_metrics.body.ends_with("\n# EOF\n"));
    for field in ["Accept: */*", "Accept: text/plain", "X: y", "Accept: application/openmetrics-text;q=0"] {
        let text = ask(&tidegate, "GET /metrics", &[field]);
        assert_eq!(text.all("content-type"), ["text/plain; version=0.0.4; charset=utf-8"], "{field}");
        assert!(!text.body.contains("# EOF"));
    }
    for answer in [open_metrics, ask(&tidegate, "GET /metrics", &[])] {
        for line in ["tidegate_build_info{version=", "process_cpu_seconds_total ", "tidegate_requests_total{"]
        {
            assert!(answer.body.lines().any(|there| there.starts_with(line)), "{line} in {}", answer.body);
        }
    }
}
