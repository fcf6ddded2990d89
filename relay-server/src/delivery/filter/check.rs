//! What an expression must be beyond well-formed: not too deep, of known names only, and linear in the event's size.

use std::sync::Arc;

use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::parser::PrattParser;
use cel::{Context, Value};

use super::view::NAMES;
use super::{LANGUAGE, short, why};

/// The deepest expression: evaluating it takes less than half the stack of a thread (2 MiB) in the slowest build.
const DEPTH_MAX: usize = 24;
/// The most loops (`exists`, `all`, `filter`, `map`) inside one another.
const LOOPS_MAX: usize = 3;
/// The functions there are.
const FUNCTIONS: [&str; 13] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];

/// The names of an event that the expression asks for.
///
/// # Errors
/// What is wrong, and where as far as that is known, in words.
pub(super) fn check(expression: &IdedExpr, text: &str) -> Result<Vec<&'static str>, String> {
    let mut check = Check { names: Vec::new(), scopes: Vec::new(), text };
    check.expression(expression, 0)?;
    Ok(check.names)
}

struct Check<'a> {
    names: Vec<&'static str>,
    /// The loops around, outermost first, each with its variables; the accumulator is the last of them.
    scopes: Vec<Vec<&'a str>>,
    text: &'a str,
}

impl<'a> Check<'a> {
    fn expression(&mut self, expression: &'a IdedExpr, depth: usize) -> Result<(), String> {
        if depth == DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} levels deep"));
        }
        let deeper = depth + 1;
        match &expression.expr {
            Expr::Unspecified => Err("an expression that cannot be read".into()),
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.expression(&select.operand, deeper),
            Expr::List(list) => {
                list.elements.iter().try_for_each(|item| self.expression(item, deeper))
            }
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.expression(&entry.key, deeper)?;
                    self.expression(&entry.value, deeper)
                }
                EntryExpr::StructField(field) => self.expression(&field.value, deeper),
            }),
            Expr::Struct(made) => {
                Err(self.at(&made.type_name, "there are no types to make values of"))
            }
            Expr::Call(call) => {
                self.function(&call.func_name, &call.args)?;
                let mut parts = call.target.as_deref().into_iter().chain(&call.args);
                parts.try_for_each(|part| self.expression(part, deeper))
            }
            Expr::Comprehension(each) => self.each(each, deeper),
        }
    }

    fn name(&mut self, name: &'a str) -> Result<(), String> {
        if self.scopes.iter().flatten().any(|known| *known == name) {
            return Ok(());
        }
        let Some(known) = NAMES.iter().find(|known| **known == name) else {
            return Err(self.at(name, &format!("no such name; there are {}", NAMES.join(", "))));
        };
        if !self.names.contains(known) {
            self.names.push(known);
        }
        Ok(())
    }

    fn function(&self, name: &str, args: &[IdedExpr]) -> Result<(), String> {
        let operator = !name.starts_with(|c: char| c.is_ascii_alphabetic());
        if !operator && !FUNCTIONS.contains(&name) {
            return Err(
                self.at(name, &format!("no such function; there are {}", FUNCTIONS.join(", ")))
            );
        }
        if name == "matches" { self.pattern(args.last()) } else { Ok(()) }
    }

    /// A pattern is compiled at each event: it is written out, and tried once now.
    fn pattern(&self, pattern: Option<&IdedExpr>) -> Result<(), String> {
        let Some(IdedExpr { expr: Expr::Literal(LiteralValue::String(text)), .. }) = pattern else {
            return Err(self.at("matches", "its pattern must be a text in quotes"));
        };
        let mut context = Context::with_env(Arc::clone(&LANGUAGE));
        context.add_variable_from_value("pattern", text.inner());
        let trial = PrattParser::new().parse("''.matches(pattern)").expect("it is well-formed");
        match Value::resolve(&trial, &context) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.at(text.inner(), &why(&error))),
        }
    }

    /// A loop in a loop goes over a part of the outer one's item, or over a list written out: then all loops together
    /// look at no item of the event more often than the expression is long.
    fn each(&mut self, each: &'a ComprehensionExpr, depth: usize) -> Result<(), String> {
        if self.scopes.len() == LOOPS_MAX {
            return Err(format!("more than {LOOPS_MAX} loops inside one another"));
        }
        let written_out = matches!(each.iter_range.expr, Expr::List(_));
        let inner = self.scopes.last().is_some_and(|outer| {
            !written_out
                && !root(&each.iter_range.expr)
                    .is_some_and(|root| outer[..outer.len() - 1].contains(&root))
        });
        if inner {
            let words = "a loop in a loop goes over a part of the outer one's item";
            return Err(self.at(&each.iter_var, words));
        }
        self.expression(&each.iter_range, depth)?;
        self.expression(&each.accu_init, depth)?;
        let vars = [Some(&each.iter_var), each.iter_var2.as_ref(), Some(&each.accu_var)];
        self.scopes.push(vars.into_iter().flatten().map(String::as_str).collect());
        for part in [&each.loop_cond, &each.loop_step, &each.result] {
            self.expression(part, depth)?;
        }
        self.scopes.pop();
        Ok(())
    }

    /// Words with the place of what they are about: the first place where it stands.
    fn at(&self, what: &str, words: &str) -> String {
        let place = self.text.find(what).map(|at| self.text[..at].chars().count() + 1);
        let place = place.map_or_else(String::new, |column| format!("column {column}: "));
        short(&format!("{place}{what}: {words}"))
    }
}

/// The name that a chain of members and indexes begins with.
fn root(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Ident(name) => Some(name),
        Expr::Select(select) => root(&select.operand.expr),
        Expr::Call(call) if call.func_name == operators::INDEX => root(&call.args.first()?.expr),
        _ => None,
    }
}
