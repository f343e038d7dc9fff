#include "runtime/simulator/watch/profile.hpp"

namespace kerncast::simulator {

namespace {

const char* arithmetic(Type type) {
  switch (type) {
    case Type::f32:
      return "float";
    case Type::f64:
      return "double";
    case Type::f16:
    case Type::f16x2:
    case Type::bf16:
    case Type::bf16x2:
      return "half";
    default:
      return "integer";
  }
}

}  // namespace

const char* unit_of(const Op& op) {
  switch (op.code) {
    case Code::add:
    case Code::sub:
    case Code::mul:
    case Code::mad:
    case Code::fma:
    case Code::div:
    case Code::abs:
    case Code::neg:
    case Code::min:
    case Code::max:
    case Code::setp:
    case Code::set:
    case Code::testp:
    case Code::copysign:
      return arithmetic(op.type);
    case Code::rcp:
    case Code::sqrt:
    case Code::rsqrt:
    case Code::ex2:
    case Code::lg2:
    case Code::sin:
    case Code::cos:
    case Code::tanh:
      return "special";
    case Code::cvt:
    case Code::cvt_pack:
    case Code::cvt_unpack:
    case Code::cvt_pack_int:
      return "convert";
    case Code::mov:
    case Code::mov_pred:
    case Code::mov_special:
    case Code::widen_parts:
    case Code::narrow_parts:
    case Code::selp:
    case Code::slct:
    case Code::pred_and:
    case Code::pred_or:
    case Code::pred_xor:
    case Code::pred_not:
    case Code::pred_lop3:
    case Code::cvta:
    case Code::isspacep:
    case Code::mapa:
    case Code::cta_rank:
    case Code::activemask:
      return "move";
    case Code::ld:
    case Code::ld_param:
    case Code::cp_async:
      return "load";
    case Code::st:
      return "store";
    case Code::atom:
    case Code::red:
      return "atomic";
    case Code::bra:
    case Code::brx:
    case Code::call:
    case Code::ret:
    case Code::exit:
    case Code::trap:
    case Code::host_call:
      return "control";
    case Code::barrier_sync:
    case Code::barrier_arrive:
    case Code::barrier_red:
    case Code::warp_sync:
    case Code::fence:
    case Code::wgmma_fence:
    case Code::wgmma_commit:
    case Code::wgmma_wait:
    case Code::cluster_arrive:
    case Code::cluster_wait:
      return "barrier";
    case Code::mma:
    case Code::wgmma:
      return "tensor";
    case Code::shfl:
    case Code::vote:
    case Code::match:
    case Code::redux:
    case Code::elect:
      return "warp";
    case Code::nop:
    case Code::grid_wait:
    case Code::grid_trigger:
      return "other";
    default:
      return "integer";
  }
}

}  // namespace kerncast::simulator
