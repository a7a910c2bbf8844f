//! Arithmetic on the numbers of pods, racks and units: `swp[(rack - 1) * 4 + 2]`.
//!
//! An expression is compiled once for a block, with every mistake of type and name found then, and evaluated for each
//! machine of it. Evaluating fails only on overflow and division by nought.

use crate::limits::EXPRESSION_MAX;
use crate::report::Report;
use crate::syntax::{Expression, Kind, Operator};
use model::finding::{Code, Finding};

/// A number that depends on the place. `number` is the device's own: a switch `a` is number 1, `u14` is number 14.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Variable {
    Pod,
    Rack,
    Unit,
    Number,
}

impl Variable {
    /// How it is written.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Rack => "rack",
            Self::Unit => "unit",
            Self::Number => "number",
        }
    }
}

/// The numbers at one place.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Numbers {
    pub(crate) pod: u32,
    pub(crate) rack: u32,
    pub(crate) number: u32,
}

/// A compiled expression; truth is 1 or 0.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Arithmetic {
    Constant(i64),
    Variable(Variable),
    Binary(Box<Arithmetic>, Operator, Box<Arithmetic>),
    Choice(Box<[Arithmetic; 3]>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Number,
    Truth,
}

/// Compiles `expression` to a number; `variables` are those that have a value where it stands.
pub(crate) fn compile(
    report: &mut Report,
    expression: &Expression,
    variables: &[Variable],
) -> Option<Arithmetic> {
    let compiled = typed(report, expression, variables, Type::Number)?;
    if compiled.size() > EXPRESSION_MAX {
        let sentence = format!("this expression has more than {EXPRESSION_MAX} numbers and operators");
        report.push(Finding::error(Code::BadExpression, expression.source, sentence));
        return None;
    }
    Some(compiled)
}

fn typed(
    report: &mut Report,
    expression: &Expression,
    variables: &[Variable],
    wanted: Type,
) -> Option<Arithmetic> {
    let (compiled, found) = any(report, expression, variables)?;
    if found != wanted {
        let sentence = match wanted {
            Type::Number => "a number is needed here, not a comparison",
            Type::Truth => "a comparison is needed here, not a number",
        };
        report.push(Finding::error(Code::BadExpression, expression.source, sentence));
        return None;
    }
    Some(compiled)
}

fn any(report: &mut Report, expression: &Expression, variables: &[Variable]) -> Option<(Arithmetic, Type)> {
    match &expression.kind {
        Kind::Integer(value) => Some((Arithmetic::Constant(*value), Type::Number)),
        Kind::Bool(value) => Some((Arithmetic::Constant(i64::from(*value)), Type::Truth)),
        Kind::Path(word, steps) if steps.is_empty() => {
            if let Some(&variable) = variables.iter().find(|variable| variable.word() == word) {
                return Some((Arithmetic::Variable(variable), Type::Number));
            }
            let sentence = format!("there is no number `{word}` here");
            let mut finding = Finding::error(Code::BadExpression, expression.source, sentence);
            finding = match word.split_once('-') {
                Some((left, right)) if variables.iter().any(|variable| variable.word() == left) => {
                    finding.help(format!("names may hold `-`: write `{left} - {right}`"))
                }
                _ => {
                    let words: Vec<String> =
                        variables.iter().map(|variable| format!("`{}`", variable.word())).collect();
                    finding.help(format!("numbers here are {}", words.join(", ")))
                }
            };
            report.push(finding);
            None
        }
        Kind::Negative(inner) => {
            let inner = typed(report, inner, variables, Type::Number)?;
            let negative =
                Arithmetic::Binary(Box::new(Arithmetic::Constant(0)), Operator::Subtract, Box::new(inner));
            Some((negative, Type::Number))
        }
        Kind::Not(inner) => {
            let inner = typed(report, inner, variables, Type::Truth)?;
            let not = Arithmetic::Binary(Box::new(Arithmetic::Constant(0)), Operator::Equal, Box::new(inner));
            Some((not, Type::Truth))
        }
        Kind::Binary(left, operator, right) => {
            let (inner, outer) = match operator {
                Operator::And | Operator::Or => (Type::Truth, Type::Truth),
                Operator::Add
                | Operator::Subtract
                | Operator::Multiply
                | Operator::Divide
                | Operator::Remainder => (Type::Number, Type::Number),
                _ => (Type::Number, Type::Truth),
            };
            let left = typed(report, left, variables, inner);
            let right = typed(report, right, variables, inner);
            Some((Arithmetic::Binary(Box::new(left?), *operator, Box::new(right?)), outer))
        }
        Kind::Choice(parts) => {
            let [condition, yes, no] = &**parts;
            let condition = typed(report, condition, variables, Type::Truth);
            let yes = typed(report, yes, variables, Type::Number);
            let no = typed(report, no, variables, Type::Number);
            Some((Arithmetic::Choice(Box::new([condition?, yes?, no?])), Type::Number))
        }
        Kind::Invalid => None,
        _ => {
            let sentence = "a whole number is needed here";
            report.push(Finding::error(Code::BadExpression, expression.source, sentence));
            None
        }
    }
}

impl Arithmetic {
    /// Numbers, operators and choices in it. The parser bounds how deep they nest.
    fn size(&self) -> usize {
        match self {
            Self::Constant(_) | Self::Variable(_) => 1,
            Self::Binary(left, _, right) => 1 + left.size() + right.size(),
            Self::Choice(parts) => 1 + parts.iter().map(Self::size).sum::<usize>(),
        }
    }

    /// Its value at one place; `None` on overflow or division by nought.
    pub(crate) fn evaluate(&self, at: Numbers) -> Option<i64> {
        match self {
            Self::Constant(value) => Some(*value),
            Self::Variable(variable) => Some(i64::from(match variable {
                Variable::Pod => at.pod,
                Variable::Rack => at.rack,
                Variable::Unit | Variable::Number => at.number,
            })),
            Self::Binary(left, operator, right) => {
                let (left, right) = (left.evaluate(at)?, right.evaluate(at)?);
                match operator {
                    Operator::Add => left.checked_add(right),
                    Operator::Subtract => left.checked_sub(right),
                    Operator::Multiply => left.checked_mul(right),
                    Operator::Divide => left.checked_div_euclid(right),
                    Operator::Remainder => left.checked_rem_euclid(right),
                    Operator::Equal => Some(i64::from(left == right)),
                    Operator::NotEqual => Some(i64::from(left != right)),
                    Operator::Less => Some(i64::from(left < right)),
                    Operator::LessOrEqual => Some(i64::from(left <= right)),
                    Operator::Greater => Some(i64::from(left > right)),
                    Operator::GreaterOrEqual => Some(i64::from(left >= right)),
                    Operator::And => Some(left & right),
                    Operator::Or => Some(left | right),
                }
            }
            Self::Choice(parts) => {
                let [condition, yes, no] = &**parts;
                if condition.evaluate(at)? != 0 { yes.evaluate(at) } else { no.evaluate(at) }
            }
        }
    }
}
