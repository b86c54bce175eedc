//! What a template may cost: which statements it may hold, how much its filters may be given, how large its values may
//! be. Owns the bounds that minijinja does not have (fuel counts steps, not bytes); does not know variables.
//!
//! Every step of a template makes a value that is at most a few times as large as the values it is made of, and every
//! value that a variable has is at most [`MAX_BYTES`]. So it is enough that no template can feed its own results back
//! often: it has few operators that put texts together, loops of two levels, and no statement that names a value.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Stmt};
use minijinja::machinery::{parse, parse_expr};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};
use minijinja_contrib::pycompat::unknown_method_callback;

/// The longest template, in bytes. Kubespray's longest has 1,200.
pub(super) const MAX_TEMPLATE: usize = 16 << 10;
/// The largest value, in bytes; each item of a list or a mapping counts as [`ITEM`] more.
pub(super) const MAX_BYTES: usize = 256 << 10;
/// Lists and mappings within one another that a template may make.
pub(super) const MAX_NESTED: usize = 32;
/// Steps of one template, as minijinja counts them. Kubespray's longest takes a few hundred.
pub(super) const FUEL: u64 = 20_000;
/// `~` and `+` in one template.
const MAX_GROWTH: usize = 32;
/// The longest text that `*` may make, in bytes.
const MAX_PRODUCT: usize = 4 << 10;
/// Loops within one another.
const MAX_LOOPS: usize = 2;
/// Bytes that all filters, tests and loops of one host handle, results included.
const MAX_HANDLED: u64 = 512 << 20;
/// The overhead of an item in addition to its text, in bytes.
const ITEM: usize = 32;
/// What a step of a template with statements costs, in bytes.
const STEP: u64 = 1 << 10;
/// Filters that make much of little, and that Kubespray's variables do without.
const UNBOUNDED: [&str; 10] =
    ["batch", "chain", "format", "groupby", "indent", "pprint", "slice", "sum", "zip", "center"];
/// Methods of Python's texts, lists and mappings that make no more than they are given.
const METHODS: [&str; 26] = [
    "capitalize",
    "count",
    "endswith",
    "find",
    "get",
    "isalnum",
    "isalpha",
    "isascii",
    "isdigit",
    "islower",
    "isnumeric",
    "isspace",
    "isupper",
    "items",
    "keys",
    "lower",
    "lstrip",
    "rfind",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "title",
    "upper",
    "values",
];

/// What is left to be handled for one host.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<AtomicU64>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(MAX_HANDLED)))
    }

    /// Takes bytes from what is left.
    pub(super) fn take(&self, bytes: u64) -> Result<(), Error> {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(bytes), Ordering::Relaxed);
        if bytes <= left { Ok(()) } else { Err(too_much()) }
    }

    /// Takes what a template with statements used of its fuel.
    pub(super) fn take_steps(&self, steps: u64) -> Result<(), Error> {
        self.take(steps.saturating_mul(STEP))
    }

    fn take_values(&self, values: &[Value]) -> Result<(), Error> {
        values.iter().try_for_each(|value| self.take(shallow(value) as u64))
    }

    /// A filter, test or function that takes from the budget what it is given and what it makes.
    pub(super) fn metered(
        &self,
        function: Value,
    ) -> impl Fn(&mut State<'_, '_>, Rest<Value>) -> Result<Value, Error> + Send + Sync + 'static {
        let budget = self.clone();
        move |state, arguments| {
            budget.take_values(&arguments)?;
            let made = function.call(state, &arguments)?;
            budget.take_values(std::slice::from_ref(&made))?;
            Ok(made)
        }
    }

    /// Puts minijinja's own filters, functions and methods under this budget, and takes away those without a bound.
    pub(super) fn apply(&self, environment: &mut Environment<'static>) {
        use minijinja::{filters, functions};
        for name in UNBOUNDED {
            environment.remove_filter(name);
        }
        for name in ["namespace", "debug", "range", "dict"] {
            environment.remove_global(name);
        }
        macro_rules! meter {
            ($add:ident: $($name:literal $function:path,)*) => {
                $(environment.$add($name, self.metered(Value::from_function($function)));)*
            };
        }
        meter!(add_filter: "lower" filters::lower, "upper" filters::upper, "title" filters::title,
            "capitalize" filters::capitalize, "trim" filters::trim, "dictsort" filters::dictsort, "items" filters::items,
            "reverse" filters::reverse, "lines" filters::lines, "list" filters::list, "max" filters::max,
            "min" filters::min, "sort" filters::sort, "unique" filters::unique,);
        meter!(add_function: "range" functions::range, "dict" functions::dict,);
        let budget = self.clone();
        environment.set_unknown_method_callback(move |state, value, method, arguments| {
            budget.take_values(std::slice::from_ref(value))?;
            budget.take_values(arguments)?;
            match method {
                "join" | "replace" => state.apply_filter(method, &[&swapped(method, value, arguments)?[..]].concat()),
                known if METHODS.contains(&known) => unknown_method_callback(state, value, method, arguments),
                _ => Err(Error::from(ErrorKind::UnknownMethod)),
            }
        });
    }
}

/// The arguments of the filter of a method's name: `', '.join(list)` is `list | join(', ')`.
fn swapped(method: &str, value: &Value, arguments: &[Value]) -> Result<Vec<Value>, Error> {
    match (method, arguments) {
        ("join", [list]) => Ok(vec![list.clone(), value.clone()]),
        ("join", _) => Err(Error::new(ErrorKind::InvalidOperation, "`join` takes one list")),
        _ => Ok([std::slice::from_ref(value), arguments].concat()),
    }
}

/// The size of a value without what its items hold, in bytes.
fn shallow(value: &Value) -> usize {
    value.as_str().map_or_else(|| value.len().unwrap_or(1).saturating_mul(ITEM), str::len)
}

/// Refuses a text that a filter would make, if it would be too large.
pub(super) fn fits(bytes: usize) -> Result<(), Error> {
    if bytes <= MAX_BYTES { Ok(()) } else { Err(too_large()) }
}

/// Refuses a value that is too large or too deep. What is rendered when it is asked for counts as `known` says.
pub(super) fn check_value(value: &Value, known: &impl Fn(&Value) -> Option<usize>) -> Result<(), Error> {
    let mut left = MAX_BYTES;
    weigh(value, known, &mut left, 0)
}

fn weigh(value: &Value, known: &impl Fn(&Value) -> Option<usize>, left: &mut usize, depth: usize) -> Result<(), Error> {
    let mut take = |bytes: usize| left.checked_sub(bytes).map(|rest| *left = rest).ok_or_else(too_large);
    if let Some(text) = value.as_str() {
        return take(text.len());
    }
    if let Some(items) = known(value) {
        return take(items.saturating_mul(ITEM));
    }
    take(ITEM)?;
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable) {
        return Ok(());
    }
    if depth >= MAX_NESTED {
        return Err(too_large());
    }
    for item in value.try_iter()? {
        if value.kind() == ValueKind::Map {
            weigh(&value.get_item(&item).unwrap_or_default(), known, left, depth + 1)?;
        }
        weigh(&item, known, left, depth + 1)?;
    }
    Ok(())
}

fn too_large() -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("a value of more than {} KiB", MAX_BYTES >> 10))
}

fn too_much() -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("templates that handle more than {} MiB", MAX_HANDLED >> 20))
}

/// Refuses a template that may take more than it is worth. What cannot be parsed is left to minijinja. Returns the most steps that
/// it can take: without a loop, fewer than it has bytes.
pub(super) fn check_template(source: &str, syntax: &SyntaxConfig) -> Result<u64, Error> {
    check_length(source)?;
    let mut shape = Shape::default();
    if let Ok(template) = parse(source, "<template>", syntax.clone()) {
        shape.statement(&template, 0)?;
    }
    Ok(if shape.has_loop { FUEL } else { FUEL.min(source.len() as u64) })
}

/// The same for an expression alone.
pub(super) fn check_expression(source: &str) -> Result<(), Error> {
    check_length(source)?;
    match parse_expr(source) {
        Ok(expression) => Shape::default().expression(&expression),
        Err(_) => Ok(()),
    }
}

/// Whether a text is an expression without anything to be computed.
pub(super) fn is_literal(source: &str) -> bool {
    parse_expr(source).is_ok_and(|expression| literal(&expression))
}

fn literal(expression: &Expr<'_>) -> bool {
    match expression {
        Expr::Const(_) => true,
        Expr::UnaryOp(unary) => matches!(unary.expr, Expr::Const(_)),
        Expr::List(list) => list.items.iter().all(literal),
        Expr::Tuple(tuple) => tuple.items.iter().all(literal),
        Expr::Map(map) => map.keys.iter().chain(&map.values).all(literal),
        _ => false,
    }
}

fn check_length(source: &str) -> Result<(), Error> {
    if source.len() <= MAX_TEMPLATE {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidOperation, format!("a template of more than {} KiB", MAX_TEMPLATE >> 10)))
}

/// Whether a product is one of two constants, and short.
fn is_short(one: &Expr<'_>, two: &Expr<'_>) -> bool {
    let (Expr::Const(one), Expr::Const(two)) = (one, two) else { return false };
    let factor = |value: &Value| value.as_str().map(str::len).or_else(|| value.as_usize());
    let product = factor(&one.value).zip(factor(&two.value)).and_then(|(one, two)| one.checked_mul(two));
    product.is_some_and(|bytes| bytes <= MAX_PRODUCT)
}

/// What a template holds.
#[derive(Default)]
struct Shape {
    growth: usize,
    has_loop: bool,
}

impl Shape {
    fn statement(&mut self, statement: &Stmt<'_>, loops: usize) -> Result<(), Error> {
        match statement {
            Stmt::Template(template) => self.statements(&template.children, loops),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::EmitRaw(_) => Ok(()),
            Stmt::IfCond(branch) => {
                self.expression(&branch.expr)?;
                self.statements(&branch.true_body, loops)?;
                self.statements(&branch.false_body, loops)
            }
            Stmt::ForLoop(each) if each.recursive => Err(refused("a loop that calls itself")),
            Stmt::ForLoop(_) if loops >= MAX_LOOPS => Err(refused("loops of more than two levels")),
            Stmt::ForLoop(each) => {
                self.has_loop = true;
                self.expression(&each.iter)?;
                each.filter_expr.iter().try_for_each(|filter| self.expression(filter))?;
                self.statements(&each.body, loops + 1)?;
                self.statements(&each.else_body, loops)
            }
            Stmt::Set(_) | Stmt::SetBlock(_) => Err(refused("`{% set %}`")),
            Stmt::WithBlock(_) => Err(refused("`{% with %}`")),
            _ => Err(refused("a statement other than `if` and `for`")),
        }
    }

    fn statements(&mut self, statements: &[Stmt<'_>], loops: usize) -> Result<(), Error> {
        statements.iter().try_for_each(|statement| self.statement(statement, loops))
    }

    fn expression(&mut self, expression: &Expr<'_>) -> Result<(), Error> {
        match expression {
            Expr::Var(_) | Expr::Const(_) => Ok(()),
            Expr::Slice(slice) => {
                self.expression(&slice.expr)?;
                self.expressions([&slice.start, &slice.stop, &slice.step].into_iter().flatten())
            }
            Expr::UnaryOp(unary) => self.expression(&unary.expr),
            Expr::BinOp(binary) => {
                match binary.op {
                    // minijinja computes what is constant when it compiles, up to 100 MB.
                    BinOpKind::Mul if !is_short(&binary.left, &binary.right) => {
                        return Err(refused("`*` of anything but a short text and a number"));
                    }
                    BinOpKind::Add | BinOpKind::Concat => self.growth += 1,
                    _ => {}
                }
                if self.growth > MAX_GROWTH {
                    return Err(refused(&format!("more than {MAX_GROWTH} times `~` or `+`")));
                }
                self.expressions([&binary.left, &binary.right])
            }
            Expr::Compare(compare) => {
                self.expressions(std::iter::once(&compare.expr).chain(compare.ops.iter().map(|op| &op.expr)))
            }
            Expr::IfExpr(branch) => {
                self.expressions([&branch.test_expr, &branch.true_expr].into_iter().chain(&branch.false_expr))
            }
            Expr::Filter(filter) => {
                self.expressions(&filter.expr)?;
                self.arguments(&filter.args)
            }
            Expr::Test(test) => {
                self.expression(&test.expr)?;
                self.arguments(&test.args)
            }
            Expr::GetAttr(get) => self.expression(&get.expr),
            Expr::GetItem(get) => self.expressions([&get.expr, &get.subscript_expr]),
            Expr::Call(call) => {
                self.expression(&call.expr)?;
                self.arguments(&call.args)
            }
            Expr::List(list) => self.expressions(&list.items),
            Expr::Tuple(tuple) => self.expressions(&tuple.items),
            Expr::Map(map) => self.expressions(map.keys.iter().chain(&map.values)),
        }
    }

    fn expressions<'a: 'e, 'e>(&mut self, expressions: impl IntoIterator<Item = &'e Expr<'a>>) -> Result<(), Error> {
        expressions.into_iter().try_for_each(|expression| self.expression(expression))
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>]) -> Result<(), Error> {
        arguments.iter().try_for_each(|argument| match argument {
            CallArg::Pos(value) | CallArg::Kwarg(_, value) | CallArg::PosSplat(value) | CallArg::KwargSplat(value) => {
                self.expression(value)
            }
        })
    }
}

fn refused(what: &str) -> Error {
    Error::new(ErrorKind::SyntaxError, format!("{what} is beyond what kso renders"))
}
