//! pure: from when on the age of a certificate is a warning, and when critical.

use jiff::{SignedDuration, Timestamp};

use crate::config::Thresholds;
use crate::fleet::host_report::LineageReport;
use crate::status::overview::Urgency;

/// How long before its end a certificate is a warning, and when critical.
///
/// Where nothing is said, in thirds of the time from when certbot renews it to
/// its end: one third of that may pass until a person hears of it. That is
/// 20 and 10 days for 90 days, 10 and 5 for 45, about two days and one for 6.
pub fn limits(lineage: &LineageReport, thresholds: Thresholds) -> (SignedDuration, SignedDuration) {
    let lifetime = lineage.not_after.duration_since(lineage.not_before);
    let window = match lineage.renews_from {
        Some(from) => lineage.not_after.duration_since(from),
        None => lifetime / 3,
    };
    // An old certbot renews what lives for 6 days from its first day on.
    let window = window.min(lifetime / 2).max(SignedDuration::ZERO);
    let days = |days: u32| SignedDuration::from_hours(24 * i64::from(days));
    let warning = thresholds.warning_days.map_or(window / 3 * 2, days);
    let critical = thresholds.critical_days.map_or(window / 3, days);
    (warning.max(critical), critical)
}

/// How bad the age of a certificate is.
pub fn age(lineage: &LineageReport, now: Timestamp, thresholds: Thresholds) -> Option<Urgency> {
    let left = lineage.not_after.duration_since(now);
    let (warning, critical) = limits(lineage, thresholds);
    if left <= critical.max(SignedDuration::ZERO) {
        Some(Urgency::Critical)
    } else {
        (left <= warning).then_some(Urgency::Warning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::sample::{lineage, now};

    #[test]
    fn age_is_judged_by_the_lifetime() {
        let severity =
            |lifetime, left| age(&lineage("a", lifetime, left), now(), Thresholds::default());
        let both = (Some(Urgency::Warning), Some(Urgency::Critical));
        assert_eq!(severity(90, 21), None);
        assert_eq!((severity(90, 20), severity(90, 10)), both);
        assert_eq!(severity(45, 11), None);
        assert_eq!((severity(45, 10), severity(45, 5)), both);
        assert_eq!(severity(6, 2), None);
        assert_eq!(severity(6, 1), Some(Urgency::Warning));
        assert_eq!(severity(90, -1), Some(Urgency::Critical));
    }

    #[test]
    fn what_is_renewed_late_on_purpose_is_no_warning_before() {
        let mut late = lineage("a", 90, 15);
        late.renews_from = Some(late.not_after - SignedDuration::from_hours(7 * 24));
        assert_eq!(age(&late, now(), Thresholds::default()), None);
    }

    #[test]
    fn a_certificate_shorter_than_certbots_30_days_is_not_always_a_warning() {
        let mut short = lineage("a", 6, 6);
        short.renews_from = Some(short.not_after - SignedDuration::from_hours(30 * 24));
        assert_eq!(age(&short, now(), Thresholds::default()), None);
    }

    #[test]
    fn configured_days_win() {
        let days = Thresholds { warning_days: Some(40), critical_days: Some(30) };
        let severity = |left| age(&lineage("a", 90, left), now(), days);
        assert_eq!(severity(41), None);
        assert_eq!((severity(40), severity(30)), (Some(Urgency::Warning), Some(Urgency::Critical)));
    }
}
