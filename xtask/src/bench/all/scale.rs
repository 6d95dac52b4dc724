//! From a value to a place on an axis, and which values are written beside it.

/// A logarithmic axis between two powers of ten, or a linear one from 0.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Scale {
    /// One that all of `values` fit on: logarithmic where they span more than `SPAN`, so that the
    /// small ones can be told apart. Nothing without a value above 0.
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut low = f64::INFINITY;
        let mut high = 0.0_f64;
        for value in values.filter(|value| value.is_finite() && *value > 0.0) {
            (low, high) = (low.min(value), high.max(value));
        }
        if high == 0.0 {
            return None;
        }
        Some(match high / low > SPAN {
            true => Self::logarithmic(low, high),
            false => Self {
                low: 0.0,
                high: high * 1.08,
                logarithmic: false,
            },
        })
    }

    /// A logarithmic one between the powers of ten around two values.
    pub fn logarithmic(low: f64, high: f64) -> Self {
        let from = 10_f64.powf(low.log10().floor());
        let to = 10_f64.powf(high.log10().ceil());
        Self {
            low: from,
            // One decade at least.
            high: to.max(from * 10.0),
            logarithmic: true,
        }
    }

    /// Where a value is, from 0 to 1; what lies outside is at the edge.
    pub fn place(&self, value: f64) -> f64 {
        let share = match self.logarithmic {
            true => (value.max(f64::MIN_POSITIVE) / self.low).log10() / self.decades(),
            false => value / self.high,
        };
        share.clamp(0.0, 1.0)
    }

    /// The values written beside it.
    pub fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let count = self.decades().round() as i32;
            // Not more than fit.
            let step = (count / 6 + 1).max(1);
            return (0..=count)
                .step_by(step as usize)
                .map(|power| self.low * 10_f64.powi(power))
                .collect();
        }
        let rough = self.high / 4.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|factor| factor * power)
            .find(|step| *step >= rough)
            .unwrap_or(rough);
        (0..=4)
            .map(|number| f64::from(number) * step)
            .filter(|tick| *tick <= self.high)
            .collect()
    }

    /// Whether it is logarithmic.
    pub fn is_logarithmic(&self) -> bool {
        self.logarithmic
    }

    fn decades(&self) -> f64 {
        (self.high / self.low).log10()
    }
}

/// `1234567` as `1.23 M`; the same three digits everywhere.
pub fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        huge if huge >= 1e9 => (value / 1e9, " G"),
        large if large >= 1e6 => (value / 1e6, " M"),
        // 9,999 still reads well.
        many if many >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let decimals = match value.abs() {
        0.0 => 0,
        small if small < 0.0095 => 4,
        small if small < 0.095 => 3,
        small if small < 9.95 => 2,
        middle if middle < 99.5 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text}{unit}")
}

/// Values further apart than this are drawn logarithmically.
const SPAN: f64 = 12.0;

#[cfg(test)]
mod tests;
