//! The variables of one host, rendered on demand. Owns how names are resolved, cycles, and the bounds that
//! keep hostile templates from running on; does not know which variables matter.

mod seen;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::Value as Jinja;
use minijinja::{Environment, Error, ErrorKind};

use crate::diagnostic::{Diagnostic, Span, quoted};
use crate::producer::kubespray::bounds::{self, Budget};
use crate::producer::kubespray::fault::{Fault, Link};
pub(super) use crate::producer::kubespray::scope::seen::respelled;
use crate::producer::kubespray::scope::seen::{Lazy, Root};
use crate::producer::kubespray::template::{self, Template};
use crate::producer::kubespray::variables::{Layer, Rank, Variable, Variables};
use crate::producer::kubespray::yaml::{Node, Value};
use crate::producer::kubespray::{facts, jinja, python};

/// Variables that need one another, from first to last. Kubespray's longest chain has 8.
const MAX_CHAIN: usize = 40;
/// Templates rendered for one host. A release needs 3,000.
const MAX_RENDERS: usize = 50_000;

/// What the names of facts begin with.
const MACHINE: &str = "ansible_";
/// Templates rendered for all hosts together.
const MAX_RENDERS_OF_ALL: usize = 10 * MAX_RENDERS;

/// The variables of a host of one architecture.
#[derive(Clone)]
pub(super) struct Scope(Arc<Inner>);

struct Inner {
    host: Arc<str>,
    variables: Variables,
    facts: Arc<BTreeMap<&'static str, Jinja>>,
    /// Whether a step of a play is looked at: what only a machine knows is unknown there.
    is_step: bool,
    environment: Environment<'static>,
    budget: Budget,
    state: Mutex<State>,
    /// What was asked for, at whichever step.
    asked: Arc<Mutex<Asked>>,
    stack: Stack,
}

/// What was asked of the variables of a host.
#[derive(Default)]
struct Asked {
    /// The names that were looked for.
    names: BTreeSet<String>,
    /// Ends of names of which every one was.
    ends: BTreeSet<&'static str>,
}

impl Asked {
    fn has(&self, name: &str) -> bool {
        self.names.contains(name) || self.ends.iter().any(|end| name.ends_with(end))
    }
}

#[derive(Default)]
struct State {
    /// What was rendered already.
    known: HashMap<String, Result<Jinja, Fault>>,
    /// What is to be reported of values that there are.
    notes: Vec<Diagnostic>,
    renders: usize,
}

/// What is being rendered: a template of one host may ask for a variable of another.
#[derive(Clone, Default)]
pub(super) struct Stack(Arc<Mutex<Frames>>);

#[derive(Default)]
struct Frames {
    frames: Vec<Frame>,
    renders: usize,
}

impl Stack {
    fn lock(&self) -> MutexGuard<'_, Frames> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A template that is being rendered.
struct Frame {
    host: Arc<str>,
    link: Link,
    /// The variable's name, where it is one and no part of one.
    variable: bool,
    /// The last thing that was looked for in vain: the reason, should the template fail.
    missed: Option<Fault>,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the variables of {}", self.0.host)
    }
}

impl Scope {
    pub(super) fn new(host: &str, variables: Variables, facts: BTreeMap<&'static str, Jinja>, stack: &Stack) -> Self {
        let budget = Budget::new();
        let (host, environment, stack) = (host.into(), jinja::environment(&budget), stack.clone());
        let (facts, state, asked) = (Arc::new(facts), Mutex::default(), Arc::default());
        Self(Arc::new(Inner { host, variables, facts, is_step: false, environment, budget, state, asked, stack }))
    }

    /// The variables of the same host at a step of a play.
    pub(super) fn step(&self, variables: Variables) -> Self {
        let Inner { host, facts, environment, budget, asked, stack, .. } = &*self.0;
        Self(Arc::new(Inner {
            host: Arc::clone(host),
            variables,
            facts: Arc::clone(facts),
            is_step: true,
            environment: environment.clone(),
            budget: budget.clone(),
            state: Mutex::default(),
            asked: Arc::clone(asked),
            stack: stack.clone(),
        }))
    }

    /// The same step, with definitions that outrank all others.
    pub(super) fn and(&self, layer: Layer) -> Self {
        self.step(self.0.variables.below(Arc::new(layer)))
    }

    /// What a template sees: a mapping of all variables.
    pub(super) fn root(&self) -> Jinja {
        Jinja::from_object(Root(self.clone()))
    }

    /// The variables whose names end so and that are not the user's own, sorted by name.
    pub(super) fn ending(&self, end: &'static str) -> Vec<(&str, &Variable)> {
        self.asked().ends.insert(end);
        let all = self.0.variables.iter();
        all.filter(|(name, variable)| variable.rank != Rank::Extra && name.ends_with(end)).collect()
    }

    /// Whether all that was rendered for this host would be the same for one with these variables, if no fact of a host
    /// matters.
    pub(super) fn has_same_variables(&self, others: &Variables) -> bool {
        self.differs_at(others, |_| true).is_none()
    }

    /// The first name that was looked for, and leads to another definition in `others`; of those that count.
    pub(super) fn differs_at<'a>(&'a self, others: &'a Variables, counts: impl Fn(&str) -> bool) -> Option<&'a str> {
        let (asked, own) = (self.asked(), &self.0.variables);
        let is_same = |name: &str| match (own.get(name), others.get(name)) {
            (Some(one), Some(other)) => Arc::ptr_eq(&one.node, &other.node),
            (one, other) => one.is_none() && other.is_none(),
        };
        own.differing(others).into_iter().find(|name| asked.has(name) && counts(name) && !is_same(name))
    }

    /// Whether the facts of a host that were looked for are those of another.
    pub(super) fn has_same_facts(&self, other: impl FnOnce() -> Self) -> bool {
        let asked = self.asked();
        let names: Vec<&str> = facts::OF_A_HOST.into_iter().filter(|name| asked.has(name)).collect();
        drop(asked);
        names.is_empty() || {
            let other = other();
            names.iter().all(|name| self.0.facts.get(name) == other.0.facts.get(name))
        }
    }

    /// What is to be reported of the values that were rendered since the last call.
    pub(super) fn take_notes(&self) -> Vec<Diagnostic> {
        std::mem::take(&mut self.state().notes)
    }

    /// A variable whose name ends so, and whose definition is such: the first by name.
    pub(super) fn find(&self, end: &str, wanted: impl Fn(&Node) -> bool) -> Option<(&str, &Variable)> {
        self.0.variables.iter().find(|(name, variable)| name.ends_with(end) && wanted(&variable.node))
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The definition of a variable.
    pub(super) fn definition(&self, name: &str) -> Option<&Variable> {
        let mut asked = self.asked();
        if !asked.names.contains(name) {
            asked.names.insert(name.to_owned());
        }
        drop(asked);
        self.0.variables.get(name)
    }

    /// The value of a variable; the fault is undefined where there is no such variable.
    pub(super) fn variable(&self, name: &str) -> Result<Jinja, Fault> {
        if let Some(known) = self.state().known.get(name) {
            return known.clone();
        }
        let variable = self.definition(name);
        // Facts outrank what an inventory says, and not what a role or the command line insists on; what kso makes up in
        // their place yields to everything.
        let fact =
            self.0.facts.get(name).filter(|_| {
                variable.is_none_or(|variable| !facts::YIELDING.contains(&name) && variable.rank < Rank::Play)
            });
        if let Some(fact) = fact {
            return Ok(fact.clone());
        }
        let Some(variable) = variable else {
            if self.0.is_step && name.starts_with(MACHINE) {
                return Err(Fault::new(format!("{} is known only on a machine", quoted(name)), &self.chain()));
            }
            let name = quoted(name);
            let help = format!("set {name} in the inventory, in `vars` of the definition, or with `-e` of `kso lists`");
            return Err(Fault::undefined(format!("the variable {name} is not defined"), &self.chain()).help(Some(help)));
        };
        let link = Link { name: name.to_owned(), span: variable.span.clone() };
        let value = self.framed(link, true, |scope| scope.value(&variable.node, name));
        // What failed because its ring was entered elsewhere, or too deep, may not fail again.
        let may_change = value.as_ref().is_err_and(|fault| fault.of_the_way);
        if !may_change || self.0.stack.lock().frames.is_empty() {
            self.state().known.insert(name.to_owned(), value.clone());
        }
        value
    }

    /// The value of a part of a variable, which is called `name`.
    pub(super) fn part(&self, node: &Arc<Node>, name: &str) -> Result<Jinja, Fault> {
        let link = Link { name: name.to_owned(), span: node.span.clone() };
        self.framed(link, false, |scope| scope.value(node, name))
    }

    /// The value of an expression, on behalf of what is called `name`.
    pub(super) fn expression(&self, name: &str, expression: &str, span: &Span) -> Result<Jinja, Fault> {
        let link = Link { name: name.to_owned(), span: span.clone() };
        self.framed(link, false, |scope| scope.rendered(&Template::Expression(expression.to_owned()), expression))
    }

    fn chain(&self) -> Vec<Link> {
        self.0.stack.lock().frames.iter().map(|frame| frame.link.clone()).collect()
    }

    fn framed(
        &self,
        link: Link,
        variable: bool,
        work: impl FnOnce(&Self) -> Result<Jinja, Fault>,
    ) -> Result<Jinja, Fault> {
        let host = &self.0.host;
        let mut stack = self.0.stack.lock();
        let in_progress =
            |frame: &Frame| variable && frame.variable && frame.host == *host && frame.link.name == link.name;
        let start = stack.frames.iter().position(in_progress);
        let depth = stack.frames.len();
        stack.frames.push(Frame { host: Arc::clone(host), link, variable, missed: None });
        drop(stack);
        let result = if let Some(start) = start {
            Err(self.cycle(start))
        } else if depth >= MAX_CHAIN {
            let problem = format!("a chain of more than {MAX_CHAIN} variables that depend on each other");
            Err(Fault { of_the_way: true, ..Fault::new(problem, &self.chain()) })
        } else {
            work(self)
        };
        self.0.stack.lock().frames.truncate(depth);
        result
    }

    fn cycle(&self, start: usize) -> Fault {
        let chain = self.chain();
        let ring: Vec<String> = chain[start..].iter().map(|link| link.name.clone()).collect();
        // The ring is reported once, wherever it was entered.
        let problem = format!("circular reference between variables: {}", ring.join(" → "));
        let fault = Fault::new(problem, &chain[start..chain.len() - 1]);
        Fault { of_the_way: true, ..fault.help(Some("set one of them to a value without variables".into())) }
    }

    /// The value of a node: text is rendered now, what a list or a mapping holds when it is asked for.
    fn value(&self, node: &Arc<Node>, name: &str) -> Result<Jinja, Fault> {
        Ok(match &node.value {
            Value::Null => Jinja::from(()),
            Value::Bool(value) => Jinja::from(*value),
            Value::Int(value) => Jinja::from(*value),
            Value::Float(value) => Jinja::from(*value),
            Value::Text(text, true) => return self.render(text),
            Value::Text(text, false) => Jinja::from(&**text),
            Value::List(_) | Value::Map(_) => {
                Jinja::from_object(Lazy { scope: self.clone(), node: Arc::clone(node), name: name.to_owned() })
            }
            Value::Unknown(what) => {
                return Err(Fault::new(format!("{what} is known only when the play runs"), &self.chain()));
            }
            Value::Vault => {
                let help = "kso has no vault passwords: set another value in `vars` of the definition, or with `-e` of `kso lists`";
                return Err(Fault::new(format!("{} is encrypted with Ansible Vault", quoted(name)), &self.chain())
                    .help(Some(help.into())));
            }
        })
    }

    /// What a text renders to.
    fn render(&self, text: &str) -> Result<Jinja, Fault> {
        let template = template::classify(text);
        if template == Template::Plain { Ok(Jinja::from(text)) } else { self.rendered(&template, text) }
    }

    fn rendered(&self, template: &Template, text: &str) -> Result<Jinja, Fault> {
        let (mut state, mut stack) = (self.state(), self.0.stack.lock());
        if template::reads_environment(text)
            && let Some(Frame { link, .. }) = stack.frames.last()
        {
            let problem =
                format!("{} reads the environment with `lookup('env', …)`: it is empty here", quoted(&link.name));
            let help = "set the variable to a value, in `vars` of the definition, or with `-e` of `kso lists`";
            state.notes.push(Diagnostic::warning(problem).at(link.span.clone()).help(help));
        }
        state.renders += 1;
        stack.renders += 1;
        let too_many = state.renders > MAX_RENDERS || stack.renders > MAX_RENDERS_OF_ALL;
        drop((state, stack));
        if too_many {
            return Err(Fault::new(format!("more than {MAX_RENDERS} templates to render"), &self.chain()));
        }
        let value = self.evaluate(template).and_then(|value| {
            if value.is_undefined() {
                return Err(Error::from(ErrorKind::UndefinedError));
            }
            bounds::check_value(&value, &|value| value.downcast_object_ref::<Lazy>().map(|lazy| lazy.node.weight()))?;
            Ok(value)
        });
        value.map_err(|error| self.fault(&error))
    }

    /// The value of a template, within its bounds.
    fn evaluate(&self, template: &Template) -> Result<Jinja, Error> {
        let root = || self.root();
        let Inner { environment, budget, .. } = &*self.0;
        let value = match template {
            Template::Plain => Jinja::default(),
            Template::Expression(source) => {
                bounds::check_expression(source)?;
                environment.compile_expression(source)?.eval(root())?
            }
            Template::Mixed(source) => {
                let most = bounds::check_template(source, environment.syntax())?;
                let template = environment.template_from_str(source)?;
                let mut text = Limited::default();
                let rendered = template.render_captured_to(root(), &mut text);
                let steps = rendered.as_ref().ok().and_then(|captured| captured.state().fuel_levels());
                budget.take_steps(steps.map_or(most, |(used, _)| used))?;
                bounds::fits(text.length)?;
                rendered?;
                jinja::literal(&String::from_utf8_lossy(&text.bytes))
            }
        };
        if python::was_cut() { bounds::fits(usize::MAX).map(|()| value) } else { Ok(value) }
    }

    /// Why a template failed.
    fn fault(&self, error: &Error) -> Fault {
        let missed = self.0.stack.lock().frames.last_mut().and_then(|frame| frame.missed.take());
        match missed {
            Some(missed) if error.kind() == ErrorKind::UndefinedError || !missed.undefined => missed,
            _ => {
                let (message, help) = jinja::explain(error);
                let fault = Fault::new(message, &self.chain()).help(help);
                let undefined = error.kind() == ErrorKind::UndefinedError;
                Fault { undefined, ..fault }
            }
        }
    }

    /// Keeps the reason for the template that is being rendered, since a lookup cannot fail by itself.
    fn missed(&self, fault: Fault) {
        if let Some(frame) = self.0.stack.lock().frames.last_mut() {
            // What is not undefined stops the template, so it is the reason whatever was missed before.
            frame.missed = Some(fault);
        }
    }

    /// A value for minijinja: what is undefined is `None`, other faults fail where they are used.
    fn found(&self, result: Result<Jinja, Fault>) -> Option<Jinja> {
        result.map_or_else(
            |fault| {
                let undefined = fault.undefined;
                let error = Error::new(ErrorKind::InvalidOperation, fault.message.clone());
                self.missed(fault);
                (!undefined).then(|| Jinja::from(error))
            },
            Some,
        )
    }
}

/// Text that may not be too long: past that it takes no more, and says so.
#[derive(Default)]
struct Limited {
    bytes: Vec<u8>,
    length: usize,
}

impl std::io::Write for Limited {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        self.length = self.length.saturating_add(part.len());
        bounds::fits(self.length).map_err(std::io::Error::other)?;
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
