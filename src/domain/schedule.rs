//! When a job is to run, as freezer-scheduler reads its schedule: an interval, fields of cron in the grammar of APScheduler 3, or a
//! date.
//!
//! Read here, since no crate for cron has this grammar: days of the week count from Monday, there are weeks of the year, and a day may
//! be `2nd fri` or `last`. A test compares it with APScheduler itself.

use time::{Date, Duration, OffsetDateTime, PrimitiveDateTime};

use super::document::{self, Object};

/// How often a job runs that begins again as soon as it has ended.
const CONTINUOUS: i64 = 3600;
/// How many days are looked at for the times at which cron's fields fire: two of each day of each year, and a leap day.
const DAYS: i64 = 800;
/// In how many years these days are.
const YEARS: usize = 4;

/// How often a job is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cadence {
    /// Again and again, with so many seconds between two starts at most.
    Every(i64),
    /// Once, or never again.
    Once,
    /// The schedule cannot be read.
    Unreadable,
}

impl Cadence {
    /// The cadence of a job's schedule from `now` on.
    pub fn of(schedule: &Object, now: OffsetDateTime) -> Cadence {
        let given = |key: &str| document::text(schedule, key).filter(|text| !text.is_empty());
        if given("schedule_date").is_some() || has_ended(schedule, now) {
            return Cadence::Once;
        }
        if let Some(interval) = given("schedule_interval") {
            return interval_of(interval).map_or(Cadence::Unreadable, Cadence::Every);
        }
        let fields = FIELDS
            .each_ref()
            .map(|field| document::text(schedule, field.member));
        if fields.iter().all(Option::is_none) {
            // Without any time it runs as soon as the scheduler sees it.
            return Cadence::Once;
        }
        match Cron::parse(fields) {
            None => Cadence::Unreadable,
            Some(cron) => cron
                .largest_gap(now.date())
                .map_or(Cadence::Once, Cadence::Every),
        }
    }
}

/// Whether the time after which the job shall not run has passed. Schedulers look at it only beside a start.
fn has_ended(schedule: &Object, now: OffsetDateTime) -> bool {
    let time = |key: &str| document::text(schedule, key).and_then(date_time);
    match (time("schedule_start_date"), time("schedule_end_date")) {
        (Some(start), Some(end)) => start <= end && end < now,
        _ => false,
    }
}

/// A time such as `2024-02-29T23:59:58`, in UTC.
fn date_time(text: &str) -> Option<OffsetDateTime> {
    use time::macros::format_description;
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let time = PrimitiveDateTime::parse(text.get(..19)?, format).ok()?;
    Some(time.assume_utc())
}

/// The seconds of `2 days`; one of zero is one second, as APScheduler has it.
fn interval_of(interval: &str) -> Option<i64> {
    if interval == "continuous" {
        return Some(CONTINUOUS);
    }
    let (number, unit) = interval.split_once(' ')?;
    let seconds = match unit.trim() {
        "weeks" => 604_800,
        "days" => 86_400,
        "hours" => 3600,
        "minutes" => 60,
        "seconds" => 1,
        _ => return None,
    };
    let number: i64 = number.parse().ok()?;
    Some(number.checked_mul(seconds)?.max(1))
}

/// A field of cron: the member of a schedule, its values, and the one that it has below the last field that is given.
struct Field {
    member: &'static str,
    least: u16,
    most: u16,
    default: &'static str,
    names: &'static [&'static str],
}

const fn field(
    member: &'static str,
    least: u16,
    most: u16,
    default: &'static str,
    names: &'static [&'static str],
) -> Field {
    Field {
        member,
        least,
        most,
        default,
        names,
    }
}

const MONTHS: &[&str] = &[
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: &[&str] = &["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const POSITIONS: [&str; 6] = ["1st", "2nd", "3rd", "4th", "5th", "last"];

/// The fields in APScheduler's order.
static FIELDS: [Field; 8] = [
    field("schedule_year", 1970, 9999, "*", &[]),
    field("schedule_month", 1, 12, "1", MONTHS),
    field("schedule_day", 1, 31, "1", &[]),
    field("schedule_week", 1, 53, "*", &[]),
    field("schedule_day_of_week", 0, 6, "*", WEEKDAYS),
    field("schedule_hour", 0, 23, "0", &[]),
    field("schedule_minute", 0, 59, "0", &[]),
    field("schedule_second", 0, 59, "0", &[]),
];

/// One of the expressions of a field, which commas separate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expression {
    /// `*`, `5`, `1-5`, with a step behind a slash; the names of months and weekdays are numbers too.
    Range { first: u16, last: u16, step: u16 },
    /// `2nd fri`; the sixth position is the last.
    Position { position: usize, weekday: usize },
    /// The last day of the month.
    LastDay,
}

/// What all fields say. Of long fields each expression is looked at once for a value, however many days are.
#[derive(Debug)]
struct Cron {
    year: Vec<Expression>,
    months: Values,
    days: Values,
    /// Of days those that are no numbers, each once.
    other_days: Vec<Expression>,
    weeks: Values,
    weekdays: Values,
    hours: Vec<i64>,
    minutes: Vec<i64>,
    seconds: Vec<i64>,
}

/// Values below 64.
#[derive(Clone, Copy, Debug)]
struct Values(u64);

impl Values {
    fn of(field: &Field, expressions: &[Expression]) -> Values {
        let all = field.least..=field.most;
        let fires = all.filter(|value| contains(expressions, *value));
        Values(fires.fold(0, |values, value| values | 1 << value))
    }

    fn has(self, value: u8) -> bool {
        self.0 >> value & 1 == 1
    }
}

impl Cron {
    /// Reads the fields in their order; those that are missing are any value above the last that is given, and the least below.
    fn parse(given: [Option<&str>; 8]) -> Option<Cron> {
        let last = given.iter().rposition(Option::is_some);
        let mut all = Vec::new();
        for ((index, field), text) in FIELDS.iter().enumerate().zip(given) {
            let missing = if Some(index) < last {
                "*"
            } else {
                field.default
            };
            all.push(parse_field(field, text.unwrap_or(missing))?);
        }
        let [year, month, day, week, weekday, hour, minute, second] = all.try_into().ok()?;
        let values = |field: &Field, expressions: &[Expression]| -> Vec<i64> {
            let all = field.least..=field.most;
            let fires = all.filter(|value| contains(expressions, *value));
            fires.map(i64::from).collect()
        };
        let [
            _,
            of_month,
            of_day,
            of_week,
            of_weekday,
            of_hour,
            of_minute,
            of_second,
        ] = &FIELDS;
        Some(Cron {
            months: Values::of(of_month, &month),
            days: Values::of(of_day, &day),
            weeks: Values::of(of_week, &week),
            weekdays: Values::of(of_weekday, &weekday),
            other_days: other_days(&day),
            hours: values(of_hour, &hour),
            minutes: values(of_minute, &minute),
            seconds: values(of_second, &second),
            year,
        })
    }

    /// The most seconds between two times that follow each other, of those from this day on; `None` where there are not two.
    fn largest_gap(&self, from: Date) -> Option<i64> {
        let (first, last) = (
            self.time_of_day(|v| v.first()),
            self.time_of_day(|v| v.last()),
        );
        let (first, last) = (first?, last?);
        let years = (from.year()..).take(YEARS);
        let years: Vec<i32> = years
            .filter(|year| contains(&self.year, u16::try_from(*year).unwrap_or_default()))
            .collect();
        let days = (0..DAYS).filter(|day| {
            let date = from.checked_add(Duration::days(*day));
            date.is_some_and(|date| years.contains(&date.year()) && self.fires_on(date))
        });
        let days: Vec<i64> = days.collect();
        let over_night = |pair: &[i64]| match pair {
            [day, next] => (next - day) * 86_400 + first - last,
            _ => 0,
        };
        let nights = days.windows(2).map(over_night);
        let within = (!days.is_empty()).then(|| self.gap_within_day()).flatten();
        nights.chain(within).max()
    }

    /// The second of a day at which each field has the one of its values that is picked.
    fn time_of_day(&self, pick: impl Fn(&[i64]) -> Option<&i64>) -> Option<i64> {
        Some(pick(&self.hours)? * 3600 + pick(&self.minutes)? * 60 + pick(&self.seconds)?)
    }

    /// The largest gap between two times of one day.
    fn gap_within_day(&self) -> Option<i64> {
        let widest = |values: &[i64]| {
            let gaps = values.windows(2).map(|pair| match pair {
                [a, b] => b - a,
                _ => 0,
            });
            gaps.max()
        };
        let span = |values: &[i64]| Some(values.last()? - values.first()?);
        let seconds = span(&self.seconds)?;
        let minutes = span(&self.minutes)? * 60;
        let between_minutes = widest(&self.minutes).map(|gap| gap * 60 - seconds);
        let between_hours = widest(&self.hours).map(|gap| gap * 3600 - minutes - seconds);
        let gaps = [widest(&self.seconds), between_minutes, between_hours];
        gaps.into_iter().flatten().max()
    }

    /// Whether it fires on a day of a year in which it does.
    fn fires_on(&self, date: Date) -> bool {
        let is_other = || self.other_days.iter().any(|day| is_day(*day, date));
        self.months.has(date.month().into())
            && self.weeks.has(date.iso_week())
            && self.weekdays.has(date.weekday().number_days_from_monday())
            && (self.days.has(date.day()) || is_other())
    }
}

/// The expressions of a field; `None` where one is not understood.
fn parse_field(field: &Field, text: &str) -> Option<Vec<Expression>> {
    let expressions = text.trim().split(',');
    expressions
        .map(|text| parse_expression(field, text.trim_matches(' ')))
        .collect()
}

fn parse_expression(field: &Field, text: &str) -> Option<Expression> {
    if let Some(range) = numeric_range(field, text) {
        return Some(range);
    }
    let text = text.to_ascii_lowercase();
    if field.member == "schedule_day" {
        return day_expression(&text);
    }
    range_of_names(field, &text)
}

/// `*`, `5` or `1-5`, with a step or without.
fn numeric_range(field: &Field, text: &str) -> Option<Expression> {
    let (range, step) = match text.split_once('/') {
        None => (text, None),
        Some((range, step)) => (range, Some(number(step).filter(|step| *step > 0)?)),
    };
    let (first, last) = match range.split_once('-') {
        None if range == "*" => (field.least, Some(field.most)),
        None => (number(range)?, None),
        Some((first, last)) => (number(first)?, Some(number(last)?)),
    };
    let last = match (last, step) {
        (None, None) => first,
        (last, _) => last.unwrap_or(field.most),
    };
    let is_within = (field.least..=last).contains(&first) && last <= field.most;
    // A range that ends at zero counts as one without an end there.
    let width = if last == 0 { field.most } else { last }.checked_sub(first)?;
    let is_right = is_within && step.is_none_or(|step| step <= width);
    let step = step.unwrap_or(1);
    is_right.then_some(Expression::Range { first, last, step })
}

/// `2nd fri`, `last sun` or `last`, whatever follows.
fn day_expression(text: &str) -> Option<Expression> {
    let position = POSITIONS.iter().position(|word| text.starts_with(word))?;
    let (_, behind) = text.split_at(POSITIONS.get(position)?.len());
    let word = behind.trim_start_matches(' ');
    let name: String = word
        .chars()
        .take_while(|character| character.is_alphanumeric() || *character == '_')
        .collect();
    if behind.starts_with(' ') && !name.is_empty() {
        let weekday = WEEKDAYS.iter().position(|weekday| *weekday == name)?;
        return Some(Expression::Position { position, weekday });
    }
    (position == 5).then_some(Expression::LastDay)
}

fn number(text: &str) -> Option<u16> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// `mon` or `mon-fri`. What follows the names is ignored, a step too.
fn range_of_names(field: &Field, text: &str) -> Option<Expression> {
    let letters = |text: &str| {
        let end = text.find(|character: char| !character.is_ascii_lowercase());
        end.unwrap_or(text.len())
    };
    let value = |name: &str| {
        let index = field.names.iter().position(|known| *known == name)?;
        Some(field.least + u16::try_from(index).ok()?)
    };
    let (name, behind) = text.split_at(letters(text));
    let first = value(name)?;
    let second = behind.strip_prefix('-').unwrap_or_default();
    let (name, _) = second.split_at(letters(second));
    let last = if name.is_empty() { first } else { value(name)? };
    let range = Expression::Range {
        first,
        last,
        step: 1,
    };
    (first <= last).then_some(range)
}

fn contains(expressions: &[Expression], value: u16) -> bool {
    expressions.iter().any(|expression| match expression {
        Expression::Range { first, last, step } => {
            (*first..=*last).contains(&value) && (value - first).is_multiple_of(*step)
        }
        Expression::Position { .. } | Expression::LastDay => false,
    })
}

fn other_days(days: &[Expression]) -> Vec<Expression> {
    let mut others = Vec::new();
    for day in days {
        let is_new = !matches!(day, Expression::Range { .. }) && !others.contains(day);
        if is_new {
            others.push(*day);
        }
    }
    others
}

/// Whether one of [`other_days`] is this day.
fn is_day(expression: Expression, date: Date) -> bool {
    let length = date.month().length(date.year());
    match expression {
        Expression::Range { .. } => false,
        Expression::LastDay => date.day() == length,
        Expression::Position { position, weekday } => {
            let is_weekday = usize::from(date.weekday().number_days_from_monday()) == weekday;
            let is_position = match position {
                5 => date.day() + 7 > length,
                _ => usize::from(date.day() - 1) / 7 == position,
            };
            is_weekday && is_position
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn long_fields_are_read_as_short_ones() {
        let cadence = |day: &str, year: &str| {
            let schedule =
                json!({"schedule_day": day, "schedule_year": year, "schedule_hour": "3"});
            Cadence::of(
                schedule.as_object().unwrap(),
                datetime!(2024-01-01 00:00 UTC),
            )
        };
        let long = |word: &str| vec![word; 5000].join(",");
        let month = Cadence::Every(31 * 86_400);
        assert_eq!(cadence("last", "*"), month);
        assert_eq!(cadence(&long("last"), &long("2020-2030")), month);
        assert_eq!(cadence(&(long("30") + ",x"), "*"), Cadence::Unreadable);
        assert_eq!(
            cadence(&long("2nd fri"), "2024"),
            cadence("2nd fri", "2024")
        );
        assert_eq!(cadence(&long("30-31"), &long("1999")), Cadence::Once);
    }
}
