//! Metric math, as far as the template's alarms use it: names, numbers, `+ - * /`, `>`, `FILL` and `IF`.
//!
//! An expression is computed for one period. No data is `None`, which every operation passes on, except for `FILL`. What is not
//! listed here is an error of the test: an alarm must not be judged by rules that this file does not know.

/// What an expression gives for one period, where `value_of` gives each metric's statistic.
pub(crate) fn compute(expression: &str, value_of: &dyn Fn(&str) -> Option<f64>) -> Option<f64> {
    let mut reader = Reader {
        rest: expression,
        value_of,
    };
    let value = reader.comparison();
    let rest = reader.rest.trim();
    assert!(rest.is_empty(), "{expression}: can't read {rest:?}");
    value
}

struct Reader<'a> {
    rest: &'a str,
    value_of: &'a dyn Fn(&str) -> Option<f64>,
}

impl Reader<'_> {
    fn comparison(&mut self) -> Option<f64> {
        let left = self.sum();
        if !self.takes('>') {
            return left;
        }
        let right = self.sum();
        Some(if left? > right? { 1.0 } else { 0.0 })
    }

    fn sum(&mut self) -> Option<f64> {
        let mut sum = self.product();
        loop {
            let is_more = self.takes('+');
            if !is_more && !self.takes('-') {
                return sum;
            }
            let next = self.product();
            sum = both(
                sum,
                next,
                |left, right| if is_more { left + right } else { left - right },
            );
        }
    }

    fn product(&mut self) -> Option<f64> {
        let mut product = self.operand();
        loop {
            if self.takes('*') {
                product = both(product, self.operand(), |left, right| left * right);
            } else if self.takes('/') {
                // CloudWatch has no data where something is divided by zero.
                let by = self.operand().filter(|by| *by != 0.0);
                product = both(product, by, |left, right| left / right);
            } else {
                return product;
            }
        }
    }

    fn operand(&mut self) -> Option<f64> {
        if self.takes('(') {
            let inner = self.comparison();
            self.expect(')');
            return inner;
        }
        let word = self.word();
        match word.as_str() {
            "FILL" => {
                let [value, filling] = self.arguments();
                value.or(filling)
            }
            "IF" => {
                let [condition, then, otherwise] = self.arguments();
                if condition? == 0.0 { otherwise } else { then }
            }
            name if name.starts_with(|letter: char| letter.is_ascii_digit()) => Some(name.parse().unwrap()),
            name => (self.value_of)(name),
        }
    }

    /// Exactly as many as are asked for, but `IF` may leave the last one out: then it is no data.
    fn arguments<const COUNT: usize>(&mut self) -> [Option<f64>; COUNT] {
        self.expect('(');
        let mut arguments = [None; COUNT];
        for (place, argument) in arguments.iter_mut().enumerate() {
            if place > 0 && !self.takes(',') {
                assert!(
                    COUNT == 3 && place == 2,
                    "an argument is missing before {:?}",
                    self.rest
                );
                break;
            }
            *argument = self.comparison();
        }
        self.expect(')');
        arguments
    }

    fn word(&mut self) -> String {
        let rest = self.rest.trim_start();
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '.';
        let end = rest.find(|letter: char| !is_part(letter)).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        assert!(!word.is_empty(), "can't read {rest:?}");
        self.rest = rest;
        word.to_owned()
    }

    fn takes(&mut self, sign: char) -> bool {
        let rest = self.rest.trim_start().strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, sign: char) {
        assert!(self.takes(sign), "{sign} is missing before {:?}", self.rest);
    }
}

fn both(left: Option<f64>, right: Option<f64>, operation: impl Fn(f64, f64) -> f64) -> Option<f64> {
    Some(operation(left?, right?))
}

#[test]
fn gaps_pass_through_everything_but_fill() {
    let value_of = |name: &str| match name {
        "two" => Some(2.0),
        "gap" => None,
        other => panic!("{other}"),
    };
    for (expression, expected) in [
        ("two + 1", Some(3.0)),
        ("two + gap", None),
        ("FILL(gap, 0) + two * 2", Some(4.0)),
        ("(two - 1) / 4", Some(0.25)),
        ("two / FILL(gap, 0)", None),
        ("IF(gap > 0, 5, 1)", None),
        ("IF(two > 1, gap, 1)", None),
        ("IF(two > 1, FILL(gap, 7), 1)", Some(7.0)),
        ("IF(FILL(gap, 0) > 0, 5)", None),
    ] {
        assert_eq!(compute(expression, &value_of), expected, "{expression}");
    }
}

#[test]
#[should_panic(expected = "can't read")]
fn what_is_not_known_is_an_error() {
    compute("two % 2", &|_| Some(2.0));
}
