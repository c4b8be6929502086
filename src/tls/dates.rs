//! From when until when a certificate is valid.

use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};

/// Says when a certificate expired or begins to be valid, if it is not valid at `now`.
///
/// webpki looks at the dates before it looks for the signer of the certificate, and reports them.
/// So verifying against no authority gives the dates without an X.509 parser of ours; what else
/// webpki says then does not matter.
pub(super) fn problem(certificate: &CertificateDer<'_>, now: UnixTime) -> Option<String> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    match certificate.verify_for_usage(&[], &[], &[], now, AnyPurpose, None, None).err()? {
        webpki::Error::CertExpired { not_after, .. } => Some(expired(not_after)),
        webpki::Error::CertNotValidYet { not_before, .. } => Some(not_yet_valid(not_before)),
        webpki::Error::InvalidCertValidity => Some("is valid at no time".to_owned()),
        _ => None,
    }
}

pub(super) fn expired(not_after: UnixTime) -> String {
    format!("expired on {}", date_and_time(not_after))
}

pub(super) fn not_yet_valid(not_before: UnixTime) -> String {
    format!("is not valid before {}", date_and_time(not_before))
}

struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

/// As `2026-01-31 12:00:00 UTC`.
fn date_and_time(time: UnixTime) -> String {
    let seconds = time.as_secs();
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// The Gregorian date of a day counted from 1970-01-01.
///
/// Counts from 1600-03-01, so that a leap day is the last of its year, of four years and of 400.
fn civil_date(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 135_080;
    let (eras, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March have 31, 30, 31, 30, 31 days, again and again: 153 in five.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = 1600 + 400 * eras + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_799, "2000-02-29 23:59:59 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_767_225_599, "2025-12-31 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
        ];
        for (seconds, text) in cases {
            let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            assert_eq!(date_and_time(time), text);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let is_leap = |year: u64| {
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
        };
        let mut expected = (1970, 1, 1);
        for day in 0..200_000 {
            assert_eq!(civil_date(day), expected);
            let (year, month, day) = expected;
            let length = match month {
                2 if is_leap(year) => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            expected = match (day == length, month == 12) {
                (true, true) => (year + 1, 1, 1),
                (true, false) => (year, month + 1, 1),
                (false, _) => (year, month, day + 1),
            };
        }
    }
}
