//! (Design, parent Plan) → Plan, the difference of two Plans, and (Plan, Facts) → View. Pure.

pub mod view;
