-- Health check of all kinds for Argo CD. Its sandbox has no string library.
local hs = { status = "Progressing", message = "Waiting for the operator" }
local status = obj.status
if status == nil or status.phase == nil then
  return hs
end
-- v0.6.0's CRDs drop observedGeneration.
if status.observedGeneration ~= nil and obj.metadata.generation ~= nil
    and status.observedGeneration < obj.metadata.generation then
  hs.message = "Waiting for the operator to see the changed spec"
  return hs
end

local ready, refreshed = nil, nil
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" then
    ready = condition
  elseif condition.type == "Refreshed" then
    refreshed = condition
  end
end

local health = { Updated = "Healthy", Failed = "Degraded", Suspended = "Suspended", Pending = "Progressing" }
hs.status = health[status.phase] or "Unknown"
hs.message = "Phase " .. status.phase
if status.phase ~= "Suspended" and ready ~= nil and ready.status == "True" then
  hs.status = "Healthy"
elseif status.phase == "Updated" and ready ~= nil and ready.status == "False" then
  -- A login that no client can use.
  hs.status = "Degraded"
end
-- With a valid token the resource is Healthy; the message still reports a failed refresh.
if refreshed ~= nil and refreshed.status ~= "True" and refreshed.message ~= nil then
  hs.message = refreshed.message
elseif ready ~= nil and ready.message ~= nil then
  hs.message = ready.message
end
return hs
