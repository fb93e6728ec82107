//! The places in an item where rustc accepts a `#[cfg(..)]`.

use super::Decide;
use crate::attributes;
use crate::source::attrs_of_mut;
use syn::visit_mut::{self, VisitMut};
use syn::{FnArg, ImplItem, Pat, TraitItem};

impl VisitMut for Decide<'_> {
    fn visit_item_fn_mut(&mut self, function: &mut syn::ItemFn) {
        if !self.is_other(&function.attrs) {
            visit_mut::visit_item_fn_mut(self, function);
        }
    }

    fn visit_impl_item_fn_mut(&mut self, function: &mut syn::ImplItemFn) {
        if !self.is_other(&function.attrs) {
            visit_mut::visit_impl_item_fn_mut(self, function);
        }
    }

    fn visit_item_mod_mut(&mut self, module: &mut syn::ItemMod) {
        if self.is_other(&module.attrs) {
            return;
        }
        if let Some((_, items)) = &mut module.content {
            items.retain_mut(|item| attrs_of_mut(item).is_none_or(|attrs| self.stays(attrs)));
        }
        visit_mut::visit_item_mod_mut(self, module);
    }

    fn visit_item_impl_mut(&mut self, block: &mut syn::ItemImpl) {
        if self.is_other(&block.attrs) {
            return;
        }
        block.items.retain_mut(|item| match item {
            ImplItem::Fn(item) => self.method_stays(&mut item.attrs),
            ImplItem::Const(item) => self.stays(&mut item.attrs),
            ImplItem::Type(item) => self.stays(&mut item.attrs),
            ImplItem::Macro(item) => self.stays(&mut item.attrs),
            _ => true,
        });
        visit_mut::visit_item_impl_mut(self, block);
    }

    fn visit_item_trait_mut(&mut self, block: &mut syn::ItemTrait) {
        block.items.retain_mut(|item| match item {
            TraitItem::Fn(item) => self.stays(&mut item.attrs),
            TraitItem::Const(item) => self.stays(&mut item.attrs),
            TraitItem::Type(item) => self.stays(&mut item.attrs),
            TraitItem::Macro(item) => self.stays(&mut item.attrs),
            _ => true,
        });
        visit_mut::visit_item_trait_mut(self, block);
    }

    fn visit_signature_mut(&mut self, sig: &mut syn::Signature) {
        self.list(&mut sig.inputs, |input| match input {
            FnArg::Receiver(receiver) => Some(&mut receiver.attrs),
            FnArg::Typed(typed) => Some(&mut typed.attrs),
        });
        visit_mut::visit_signature_mut(self, sig);
    }

    fn visit_generics_mut(&mut self, generics: &mut syn::Generics) {
        self.list(&mut generics.params, |param| match param {
            syn::GenericParam::Lifetime(param) => Some(&mut param.attrs),
            syn::GenericParam::Type(param) => Some(&mut param.attrs),
            syn::GenericParam::Const(param) => Some(&mut param.attrs),
        });
        visit_mut::visit_generics_mut(self, generics);
    }

    fn visit_block_mut(&mut self, block: &mut syn::Block) {
        if !self.bodies {
            return;
        }
        block
            .stmts
            .retain_mut(|stmt| attributes::of_statement_mut(stmt).is_none_or(|attrs| self.stays(attrs)));
        visit_mut::visit_block_mut(self, block);
    }

    fn visit_expr_match_mut(&mut self, expr: &mut syn::ExprMatch) {
        expr.arms.retain_mut(|arm| self.stays(&mut arm.attrs));
        visit_mut::visit_expr_match_mut(self, expr);
    }

    fn visit_expr_struct_mut(&mut self, expr: &mut syn::ExprStruct) {
        self.list(&mut expr.fields, |field| Some(&mut field.attrs));
        visit_mut::visit_expr_struct_mut(self, expr);
    }

    fn visit_pat_struct_mut(&mut self, pat: &mut syn::PatStruct) {
        self.list(&mut pat.fields, |field| Some(&mut field.attrs));
        visit_mut::visit_pat_struct_mut(self, pat);
    }

    fn visit_expr_closure_mut(&mut self, expr: &mut syn::ExprClosure) {
        self.list(&mut expr.inputs, |input| match input {
            Pat::Ident(pat) => Some(&mut pat.attrs),
            Pat::Type(pat) => Some(&mut pat.attrs),
            Pat::Wild(pat) => Some(&mut pat.attrs),
            Pat::Tuple(pat) => Some(&mut pat.attrs),
            Pat::TupleStruct(pat) => Some(&mut pat.attrs),
            Pat::Struct(pat) => Some(&mut pat.attrs),
            Pat::Slice(pat) => Some(&mut pat.attrs),
            Pat::Reference(pat) => Some(&mut pat.attrs),
            _ => None,
        });
        visit_mut::visit_expr_closure_mut(self, expr);
    }

    fn visit_expr_call_mut(&mut self, expr: &mut syn::ExprCall) {
        self.expressions(&mut expr.args);
        visit_mut::visit_expr_call_mut(self, expr);
    }

    fn visit_expr_method_call_mut(&mut self, expr: &mut syn::ExprMethodCall) {
        self.expressions(&mut expr.args);
        visit_mut::visit_expr_method_call_mut(self, expr);
    }

    fn visit_expr_array_mut(&mut self, expr: &mut syn::ExprArray) {
        self.expressions(&mut expr.elems);
        visit_mut::visit_expr_array_mut(self, expr);
    }

    fn visit_expr_tuple_mut(&mut self, expr: &mut syn::ExprTuple) {
        self.expressions(&mut expr.elems);
        visit_mut::visit_expr_tuple_mut(self, expr);
    }

    fn visit_fields_named_mut(&mut self, fields: &mut syn::FieldsNamed) {
        self.list(&mut fields.named, |field| Some(&mut field.attrs));
    }

    fn visit_fields_unnamed_mut(&mut self, fields: &mut syn::FieldsUnnamed) {
        self.list(&mut fields.unnamed, |field| Some(&mut field.attrs));
    }

    fn visit_item_enum_mut(&mut self, item: &mut syn::ItemEnum) {
        self.list(&mut item.variants, |variant| Some(&mut variant.attrs));
        visit_mut::visit_item_enum_mut(self, item);
    }
}
